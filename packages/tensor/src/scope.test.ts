import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import {
  type Backend,
  currentBackend,
  keep,
  liveStorages,
  noGrad,
  OwnershipError,
  referenceBackend,
  Scope,
  type Stretch,
  scope,
  setBackend,
  type Tensor,
  tensor,
  withBackend,
  withoutOverrides,
} from "./index.ts";
import { runtime } from "./runtime.ts";

const backends = ["default", "first", "second"].map((name) => ({ ...referenceBackend(), name }));
beforeEach(() => setBackend(backends[0]));

/** All that a call may change: backend, gradient mode, hand-written kernels, and who owns what is made now. */
function state() {
  const probe = tensor([0]);
  const { owner } = probe;
  probe.dispose();
  const { gradientEnabled, recomputing, disabledOverrides } = runtime;
  return { backend: currentBackend().name, gradientEnabled, recomputing, without: [...disabledOverrides], owner };
}

/** What a program may do with the engine's state, rightly or wrongly. */
const KINDS = [
  ...(["scope", "noGrad", "backend", "without", "run", "throw"] as const),
  ...(["wait", "waitInVain", "close", "closeAndRun"] as const),
];
interface Node {
  readonly kind: (typeof KINDS)[number];
  readonly which: number;
  readonly inside: readonly Node[];
}

const { nodes } = fc.letrec<{ nodes: Node[]; node: Node }>((tie) => ({
  nodes: fc.oneof(
    { depthSize: "small" },
    fc.constant<Node[]>([]),
    fc.array(tie("node"), { minLength: 1, maxLength: 3 }),
  ),
  node: fc.record({
    kind: fc.constantFrom(...KINDS),
    which: fc.nat(2),
    inside: tie("nodes"),
  }),
}));

/** A function that waits, past the types. What is thrown before it waits is told. */
const waiting = (outcome: () => PromiseLike<void>) => outcome as unknown as Stretch<void>;
// biome-ignore lint/suspicious/noThenProperty: something like a promise that is none.
const thenable = { then: () => thenable } as unknown as PromiseLike<void>;

/** Plays a program; afterwards everything is as it was before. */
function play(nodes: readonly Node[], held: readonly Scope[]): void {
  for (const { kind, which, inside } of nodes) {
    const before = state();
    const go = (): void => {
      tensor([1]);
      play(inside, held);
    };
    try {
      PERFORM[kind](go, held, which);
    } catch (error) {
      if (!(error instanceof OwnershipError) && !(error instanceof RangeError)) throw error;
    }
    expect(state()).toEqual(before);
    if (kind === "throw") throw new RangeError("thrown on purpose");
  }
}

const PERFORM: Record<Node["kind"], (go: () => void, held: readonly Scope[], which: number) => void> = {
  scope: (go) => scope("scope", go),
  noGrad: (go) => noGrad(go),
  backend: (go, _, which) => withBackend(backends[which]!, go),
  without: (go, _, which) => withoutOverrides([`op${which}`], go),
  run: (go, held, which) => held[which]!.run(go),
  throw: (go) => go(),
  wait: (go) => {
    const body = () => {
      go();
      return Promise.resolve();
    };
    scope("waits", waiting(body));
  },
  waitInVain: () => noGrad(waiting(() => Promise.reject(new Error("swallowed")))),
  close: (go, [first]) => {
    first!.run(() => {
      go();
      first!.close();
    });
  },
  closeAndRun: (go) => {
    using closed = new Scope("closed");
    closed.run(go);
    closed.close();
    closed.run(go);
  },
};

describe("what holds during a call", () => {
  it("is as it was after any nesting of calls, throws and misuses, and nothing is left", async () => {
    await fc.assert(
      fc.asyncProperty(nodes, async (program) => {
        const [before, storages] = [state(), liveStorages()];
        const held = [
          new Scope("plain"),
          new Scope("on another backend", { backend: backends[2]! }),
          new Scope("without gradients", { gradients: false }),
        ];
        using outer = new Scope("outer");
        try {
          outer.run(() => play(program, held));
        } catch (error) {
          if (!(error instanceof RangeError)) throw error;
        }
        expect(state()).toEqual(before);
        for (const one of [...held, outer]) one.close();
        expect(liveStorages()).toBe(storages);
        // Nothing that was refused goes on later, and no rejection is left unhandled.
        await new Promise((resolve) => setImmediate(resolve));
        expect(state()).toEqual(before);
      }),
      { numRuns: 200 },
    );
  });

  it("is seen by nobody who runs while a flow waits", async () => {
    const seen = async (index: number): Promise<void> => {
      using flow = new Scope(`${index}`, { backend: backends[index]!, gradients: index === 1 });
      for (let stretch = 0; stretch < 4; stretch++) {
        flow.run(() =>
          expect(state()).toMatchObject({
            backend: backends[index]!.name,
            gradientEnabled: index === 1,
            owner: flow,
          }),
        );
        await Promise.resolve();
        expect(state()).toMatchObject({ backend: "default", gradientEnabled: true, owner: undefined });
      }
    };
    await Promise.all([0, 1, 2, 1].map(seen));
  });
});

describe("a function that waits", () => {
  it.each<[string, (body: Stretch<void>) => unknown]>([
    ["scope", (body) => scope("test", body)],
    ["noGrad", (body) => noGrad(body)],
    ["withBackend", (body) => withBackend(backends[1] as Backend, body)],
    ["Scope.run", (body) => new Scope("test").run(body)],
  ])("is refused by %s, with what to do instead", (_, call) => {
    for (const body of [async () => {}, () => Promise.reject(new Error("swallowed")), () => thenable])
      expect(() => call(waiting(body))).toThrow(OwnershipError);
    expect(() => call(waiting(async () => {}))).toThrow(/new Scope\(name, \{ backend \}\).*flow\.run/);
  });

  it("is refused by the compiler", () => {
    const neverCalled = () => {
      // @ts-expect-error: a promise.
      noGrad(async () => {});
      // @ts-expect-error: perhaps a promise.
      scope("test", () => (Math.random() < 2 ? Promise.resolve(1) : 1));
      const plain: number = withBackend(backends[1]!, () => 1);
      return plain;
    };
    expect(neverCalled).toBeTypeOf("function");
  });
});

describe("a held scope", () => {
  it("refuses options that there are not", () => {
    expect(() => new Scope("x", { backnd: undefined } as never)).toThrow(
      'Scope: there is no option "backnd"; there are backend, gradients',
    );
  });

  it("owns what its stretches make until it is closed, unless kept", async () => {
    const before = liveStorages();
    const flow = new Scope("flow");
    const first = flow.run(() => tensor([1, 2]));
    const kept = flow.run(() => keep(first.add(1)));
    await Promise.resolve();
    expect([...(await flow.run(() => first.mul(3)).data())]).toEqual([3, 6]);
    const inner = flow.run(() => scope("inner", () => first.neg()));
    expect(inner.owner).toBe(flow);
    flow.close();
    flow.close();
    await expect(first.data()).rejects.toThrow(OwnershipError);
    expect([...(await kept.data())]).toEqual([2, 3]);
    kept.dispose();
    expect(liveStorages()).toBe(before);
  });

  it("is not closed inside its own stretch, nor used after it was closed", () => {
    const flow = new Scope("flow");
    let inside: Tensor | undefined;
    flow.run(() => {
      inside = tensor([1]);
      expect(() => flow.run(() => flow.close())).toThrow('scope "flow" closes inside a stretch of its own');
      expect(inside.owner).toBe(flow);
    });
    flow.close();
    expect(() => flow.run(() => 1)).toThrow('scope "flow" runs after it was closed');
    expect(() => flow.own(tensor([1]))).toThrow('scope "flow" takes a tensor after it was closed');
  });
});
