import { beforeAll, describe, expect, it } from "vitest";
import {
  backward,
  batchNorm,
  checkpoint,
  fillInto,
  GradientError,
  gradients,
  isRecomputing,
  linear,
  liveStorages,
  noGrad,
  OwnershipError,
  Random,
  referenceBackend,
  relu,
  Scope,
  scope,
  setBackend,
  softmax,
  type Tensor,
  tensor,
} from "../index.ts";
import { kernelCount } from "../kernel/index.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64, poison: true })));

const random = (shape: readonly number[], seed: number): Tensor => {
  const source = new Random(seed);
  return tensor(
    Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => source.normal()),
    shape,
  );
};
const leaf = (shape: readonly number[], seed: number): Tensor => {
  const t = random(shape, seed);
  t.requiresGrad = true;
  return t;
};

describe("backward", () => {
  it("adds up over uses and over calls", async () => {
    const x = leaf([3], 1);
    const values = await x.data();
    backward(x.mul(x).add(x).sum());
    expect([...(await x.grad!.data())]).toEqual([...values].map((v) => 2 * v + 1));
    backward(x.mul(3).sum());
    (await x.grad!.data()).forEach((g, i) => {
      expect(g).toBeCloseTo(2 * values[i]! + 4, 12);
    });
  });

  it("writes over an incoming gradient that nobody else has, and over no other", async () => {
    const [x, dy] = [leaf([3, 5], 1), random([3, 5], 2)];
    const incoming = await dy.data();
    backward(softmax(x), dy);
    const beside = await x.grad!.data();
    expect(await dy.data()).toEqual(incoming);
    x.grad = undefined;
    backward(softmax(x).mul(dy).sum());
    expect(await x.grad!.data()).toEqual(beside);
    expect(await dy.data()).toEqual(incoming);
  });

  it("stops at detach and noGrad", () => {
    const x = leaf([3], 1);
    expect(noGrad(() => x.mul(2)).requiresGrad).toBe(false);
    expect(x.mul(2).detach().requiresGrad).toBe(false);
    expect(() => backward(x.detach().sum())).toThrow(GradientError);
  });

  it("refuses to run twice, and says what to do", () => {
    const x = leaf([3], 1);
    const y = x.mul(x).sum();
    backward(y);
    expect(() => backward(y)).toThrow("run the forward pass again");
  });

  it("leaves leaves without a path alone", () => {
    const [x, unused] = [leaf([3], 1), leaf([3], 2)];
    backward(x.sum());
    expect(unused.grad).toBeUndefined();
  });

  it("gives the gradient of a function at given inputs", async () => {
    const [dx] = gradients(([x]) => x!.mul(x!), { inputs: [tensor([1, 2, 3])], dy: tensor([1, 10, 100]) });
    expect([...(await dx!.data())]).toEqual([2, 40, 600]);
  });
});

describe("gradients of leaves", () => {
  it("share elements neither with each other nor with what was given", async () => {
    const [x, y] = [leaf([3], 1), leaf([3], 2)];
    const dy = tensor([1, 2, 3]);
    backward(x.add(y), dy);
    fillInto(dy, 7);
    fillInto(x.grad!, 0);
    expect([...(await y.grad!.data())]).toEqual([1, 2, 3]);
  });

  it("are sums of all that arrives, by whichever way a gradient was handed on", async () => {
    const x = leaf([2], 1);
    const dy = tensor([1, 10]);
    const handedOn = x.add(1);
    backward(handedOn.add(handedOn.mul(2)).add(x).add(x.mul(3)).add(handedOn), dy);
    expect([...(await x.grad!.data())]).toEqual([8, 80]);
    expect([...(await dy.data())]).toEqual([1, 10]);
  });
});

describe("memory", () => {
  it("frees everything a step made, with and without backward", () => {
    const weight = leaf([4, 3], 1);
    const run = (train: boolean): void =>
      scope("step", () => {
        const y = softmax(relu(linear(random([5, 3], 2), weight))).sum();
        if (train) {
          backward(y);
          weight.grad = undefined;
        }
      });
    run(true);
    const before = liveStorages();
    const kernels = kernelCount();
    for (let i = 0; i < 5; i++) run(i % 2 === 0);
    expect(liveStorages()).toBe(before);
    expect(kernelCount()).toBe(kernels);
  });

  it("says how to keep a tensor that was used after its scope", async () => {
    let escaped: Tensor | undefined;
    scope("inner", () => {
      escaped = random([2], 1).add(1);
    });
    await expect(escaped!.data()).rejects.toThrow(OwnershipError);
    await expect(escaped!.data()).rejects.toThrow("keep(t)");
  });

  it("hands results to the surrounding scope", async () => {
    const before = liveStorages();
    const outer = new Scope("outer");
    const results = outer.run(() =>
      scope("inner", () => {
        const x = random([2], 1);
        return { nested: [x.add(1)], map: new Map([["m", x.add(2)]]) };
      }),
    );
    const reading = [results.nested[0]!.data(), results.map.get("m")!.data()];
    outer.close();
    expect(liveStorages()).toBe(before);
    for (const values of await Promise.all(reading)) expect(values.length).toBe(2);
  });
});

describe("checkpoint", () => {
  it("gives the same gradients and keeps fewer values alive", async () => {
    const [w1, w2] = [leaf([8, 8], 1), leaf([8, 8], 2)];
    const x = leaf([5, 8], 3);
    const body = ([input]: Tensor[]): Tensor => relu(linear(relu(linear(input!, w1)), w2));
    const run = async (remember: boolean) => {
      const before = liveStorages();
      const y = scope("forward", () => (remember ? body([x]) : checkpoint(body, [x])));
      const kept = liveStorages() - before;
      backward(y.mul(y).sum());
      const grads = await Promise.all([x, w1, w2].map((t) => t.grad!.data()));
      for (const t of [x, w1, w2]) t.grad = undefined;
      y.dispose();
      return { kept, grads };
    };
    const [plain, saved] = [await run(true), await run(false)];
    expect(saved.grads).toEqual(plain.grads);
    expect(saved.kept).toBeLessThan(plain.kept);
  });

  it("tells layers with running statistics that it is computing again", () => {
    const seen: boolean[] = [];
    const x = leaf([2, 3, 4, 4], 1);
    const weight = leaf([3], 2);
    const y = checkpoint(
      ([input]) => {
        seen.push(isRecomputing());
        return batchNorm(input!, { weight, bias: weight.detach() }).output;
      },
      [x],
    );
    backward(y.mul(y).sum());
    expect(seen).toEqual([false, true]);
  });
});
