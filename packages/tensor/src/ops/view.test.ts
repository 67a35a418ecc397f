import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  backward,
  checkpoint,
  fillInto,
  GradientError,
  liveStorages,
  packedGradients,
  referenceBackend,
  scope,
  setBackend,
  type Tensor,
  tensor,
} from "../index.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64, poison: true })));

const leaf = (values: readonly number[], shape: readonly number[]): Tensor => {
  const x = tensor(Float64Array.from(values), shape);
  x.requiresGrad = true;
  return x;
};

const SIZE = 12;
const SHAPES = [[12], [3, 4], [4, 3], [1, 12], [2, 6, 1], [2, 2, 3]];

/** Elements in row-major order, told by their positions in x, under a shape. */
interface Seen {
  readonly shape: readonly number[];
  readonly order: readonly number[];
}

/** The last axis before all others: of more than two axes another order than its inverse. */
function rotated({ shape, order }: Seen): Seen {
  const last = shape.at(-1)!;
  const columns = Array.from({ length: last }, (_, column) => order.filter((_, at) => at % last === column));
  return { shape: [last, ...shape.slice(0, -1)], order: columns.flat() };
}

/** A view by the engine, and what it should show. */
interface Way {
  readonly see: (x: Tensor) => Tensor;
  readonly shows: (seen: Seen) => Seen;
}
const ways: readonly Way[] = [
  ...SHAPES.map((shape): Way => ({ see: (x) => x.reshape(shape), shows: ({ order }) => ({ shape, order }) })),
  { see: (x) => x.permute([x.rank - 1, ...Array.from({ length: x.rank - 1 }, (_, axis) => axis)]), shows: rotated },
  { see: (x) => x.unsqueeze(0), shows: ({ shape, order }) => ({ shape: [1, ...shape], order }) },
  {
    see: (x) => (x.shape[0] === 1 && x.rank > 1 ? x.squeeze(0) : x),
    shows: ({ shape, order }) => ({ shape: shape[0] === 1 && shape.length > 1 ? shape.slice(1) : shape, order }),
  },
];

const someWeights = fc.array(fc.integer({ min: -9, max: 9 }), { minLength: SIZE, maxLength: SIZE });
const use = fc.record({ through: fc.array(fc.constantFrom(...ways), { maxLength: 5 }), weights: someWeights });

describe("the gradient of a tensor that is seen in other shapes and orders", () => {
  it("is the sum of what its views ask for, in its own shape and in its place", async () => {
    const setting = fc.record({
      shape: fc.constantFrom(...SHAPES),
      uses: fc.array(use, { minLength: 1, maxLength: 10 }),
      /** Whether leaf and views have an op between them, blocks are computed again, and the leaf's gradient has a place. */
      isComputed: fc.boolean(),
      isAgain: fc.boolean(),
      isPlaced: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(setting, async ({ shape, uses, isComputed, isAgain, isPlaced }) => {
        const before = liveStorages();
        const x = leaf(new Array<number>(SIZE).fill(1), shape);
        const places = isPlaced ? packedGradients([x]) : [];
        const body = ([own]: Tensor[]): Tensor => {
          const base = isComputed ? own!.mul(2) : own!;
          return uses
            .map(({ through, weights }) => {
              const view = through.reduce((t, { see }) => see(t), base);
              return view.mul(tensor(Float64Array.from(weights), view.shape)).sum();
            })
            .reduce((a, b) => a.add(b));
        };
        scope("step", () => backward(isAgain ? checkpoint(body, [x]) : body([x])));
        const wanted = new Float64Array(SIZE);
        for (const { through, weights } of uses) {
          const first: Seen = { shape, order: [...wanted.keys()] };
          const { order } = through.reduce((seen, { shows }) => shows(seen), first);
          for (const [at, k] of order.entries()) wanted[k]! += weights[at]! * (isComputed ? 2 : 1);
        }
        expect(x.grad!.shape).toEqual(shape);
        expect(await x.grad!.data()).toEqual(wanted);
        x.grad = undefined;
        for (const tensor of [x, ...places]) tensor.dispose();
        expect(liveStorages()).toBe(before);
      }),
      { numRuns: 300 },
    );
  });
});

describe("a leaf in another shape is a result", () => {
  const value = [1, 2, 3, 4];
  it("without a gradient of its own, which the leaf has", async () => {
    const x = leaf(value, [4]);
    const seen = x.reshape([2, 2]);
    backward(seen.mul(seen).sum());
    expect(seen.grad).toBeUndefined();
    expect([...(await x.grad!.data())]).toEqual([2, 4, 6, 8]);
    expect(() => {
      seen.grad = x.grad;
    }).toThrow(GradientError);
  });

  it("which cannot be made a leaf, nor be changed in place", () => {
    const seen = leaf(value, [4]).reshape([2, 2]);
    expect(seen.requiresGrad).toBe(true);
    expect(() => {
      seen.requiresGrad = false;
    }).toThrow("result of an op");
    expect(() => fillInto(seen, 1)).toThrow("a recorded result can't be changed in place");
  });

  it("and its backward pass may begin there, with a gradient of its shape", async () => {
    const x = leaf(value, [4]);
    backward(x.reshape([2, 2]), tensor([5, 6, 7, 8], [2, 2]));
    expect([...(await x.grad!.data())]).toEqual([5, 6, 7, 8]);
    expect(x.grad!.shape).toEqual([4]);
  });
});
