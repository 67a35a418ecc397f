import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { add, concat, mul, referenceBackend, ShapeError, setBackend, sub, type Tensor, tensor } from "../index.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64, poison: true })));

const range = (shape: readonly number[], from = 1): Tensor => {
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Float64Array.from({ length: size }, (_, i) => from + i),
    shape,
  );
};

/** A shape and a second one that broadcasts with it: axes dropped in front, sizes set to 1 anywhere on either side. */
const pair = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.constantFrom("both", "left", "right")), { maxLength: 4 })
  .chain((axes) =>
    fc.integer({ min: 0, max: axes.length }).map((dropped) => ({
      left: axes.map(([n, side]) => (side === "right" ? 1 : n)),
      right: axes.slice(dropped).map(([n, side]) => (side === "left" ? 1 : n)),
    })),
  );

/** Element of a row-major array that a broadcast index points at. */
function at(shape: readonly number[], index: readonly number[]): number {
  return shape.reduce((flat, n, axis) => flat * n + (n === 1 ? 0 : index[index.length - shape.length + axis]!), 0);
}

function* indices(shape: readonly number[]): Generator<number[]> {
  const size = shape.reduce((a, b) => a * b, 1);
  for (let flat = 0; flat < size; flat++) {
    let rest = flat;
    const index = shape.map(() => 0);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = rest % shape[axis]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    yield index;
  }
}

describe("broadcasting", () => {
  it("pairs the elements that NumPy's rule pairs", async () => {
    await fc.assert(
      fc.asyncProperty(pair, async ({ left, right }) => {
        const [a, b] = [range(left), range(right, 100)];
        const result = sub(mul(a, 1000), b);
        const values = await result.data();
        let k = 0;
        for (const index of indices(result.shape))
          expect(values[k++]).toBe((1 + at(left, index)) * 1000 - (100 + at(right, index)));
        expect(k).toBe(values.length);
      }),
    );
  });

  it("names the op, both shapes and the axis when sizes clash", () => {
    expect(() => add(range([2, 3]), range([2, 4]))).toThrow(ShapeError);
    expect(() => add(range([2, 3]), range([2, 4]))).toThrow(
      "add: shapes [2, 3] and [2, 4] do not broadcast: axis -1 has 3 and 4",
    );
  });
});

type Step =
  | { op: "permute"; seed: number }
  | { op: "slice"; axis: number; start: number; step: number }
  | { op: "reshape" }
  | { op: "unsqueeze"; axis: number };
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ op: fc.constant("permute" as const), seed: fc.nat(5) }),
  fc.record({
    op: fc.constant("slice" as const),
    axis: fc.nat(3),
    start: fc.nat(2),
    step: fc.integer({ min: 1, max: 2 }),
  }),
  fc.record({ op: fc.constant("reshape" as const) }),
  fc.record({ op: fc.constant("unsqueeze" as const), axis: fc.nat(3) }),
);

/** A tensor's elements with their indices, as an oracle that knows no strides. */
interface Plain {
  readonly shape: readonly number[];
  readonly get: (index: readonly number[]) => number;
}

function apply(plain: Plain, view: Tensor, s: Step): [Plain, Tensor] {
  const { shape, get } = plain;
  switch (s.op) {
    case "permute": {
      const order = shape.map((_, axis) => (axis + s.seed) % Math.max(shape.length, 1));
      return [
        {
          shape: order.map((axis) => shape[axis]!),
          get: (index) => get(shape.map((_, axis) => index[order.indexOf(axis)]!)),
        },
        view.permute(order),
      ];
    }
    case "slice": {
      const axis = shape.length ? s.axis % shape.length : 0;
      if (shape.length === 0) return [plain, view];
      const start = Math.min(s.start, shape[axis]!);
      const sizes = shape.map((n, i) => (i === axis ? Math.ceil((n - start) / s.step) : n));
      const ranges = shape.map((_, i) => (i === axis ? { start, step: s.step } : null));
      return [
        { shape: sizes, get: (index) => get(index.map((v, i) => (i === axis ? start + v * s.step : v))) },
        view.slice(ranges),
      ];
    }
    case "reshape": {
      const size = shape.reduce((a, b) => a * b, 1);
      const all = [...indices(shape)];
      return [{ shape: [size], get: ([flat]) => get(all[flat!]!) }, view.reshape([size])];
    }
    case "unsqueeze": {
      const axis = s.axis % (shape.length + 1);
      return [
        {
          shape: [...shape.slice(0, axis), 1, ...shape.slice(axis)],
          get: (index) => get(index.filter((_, i) => i !== axis)),
        },
        view.unsqueeze(axis),
      ];
    }
    default:
      s satisfies never;
      throw new Error("unreachable: unknown step");
  }
}

describe("views", () => {
  it("any chain of views reads the right elements, alone and in an op", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }),
        fc.array(step, { maxLength: 5 }),
        async (shape, steps) => {
          const start = range(shape);
          let plain: Plain = { shape, get: (index) => 1 + at(shape, index) };
          let view = start;
          for (const s of steps) [plain, view] = apply(plain, view, s);
          expect(view.shape).toEqual(plain.shape);
          const expected = [...indices(plain.shape)].map(plain.get);
          expect([...(await view.data())]).toEqual(expected);
          expect([...(await view.add(1).data())]).toEqual(expected.map((v) => v + 1));
        },
      ),
    );
  });

  it("concat undoes slicing", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 6 }), fc.nat(6), async (n, cut) => {
        const x = range([2, n]);
        const middle = Math.min(cut, n);
        const joined = concat([x.slice([null, { end: middle }]), x.slice([null, { start: middle }])], 1);
        expect([...(await joined.data())]).toEqual([...(await x.data())]);
      }),
    );
  });
});
