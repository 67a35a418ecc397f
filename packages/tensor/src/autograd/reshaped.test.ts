import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  backward,
  checkpoint,
  fillInto,
  GradientError,
  liveStorages,
  Random,
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
const SHAPES = [[12], [3, 4], [4, 3], [1, 12], [2, 6, 1], [2, 2, 3]];
const shapes = fc.constantFrom(...SHAPES);

describe("a gradient that comes to a tensor in another shape", () => {
  it("is the sum of what its uses ask for, whatever their shapes, in any order", async () => {
    const uses = fc.array(
      fc.record({ through: fc.array(shapes, { maxLength: 3 }), factor: fc.integer({ min: -9, max: 9 }) }),
      {
        minLength: 1,
        maxLength: 10,
      },
    );
    await fc.assert(
      fc.asyncProperty(shapes, uses, fc.boolean(), fc.boolean(), async (shape, list, isTransposed, isAgain) => {
        const before = liveStorages();
        const source = new Random(list.length);
        const weights = list.map(() => Array.from({ length: 12 }, () => source.normal()));
        const x = leaf(
          Array.from({ length: 12 }, () => source.normal()),
          shape,
        );
        const body = ([own]: Tensor[]): Tensor => {
          const base = own!.mul(2);
          const terms = list.map(({ through, factor }, i) => {
            const seen = through.reduce((t, to) => t.reshape(to), base);
            const weight = tensor(Float64Array.from(weights[i]!), seen.shape);
            // A gradient that lies transposed can't be seen in another shape without a copy.
            const product =
              isTransposed && seen.rank === 2 ? seen.transpose(0, 1).mul(weight.transpose(0, 1)) : seen.mul(weight);
            return product.sum().mul(factor);
          });
          return terms.reduce((a, b) => a.add(b));
        };
        scope("step", () => backward(isAgain ? checkpoint(body, [x]) : body([x])));
        const wanted = Array.from({ length: 12 }, (_, k) =>
          list.reduce((sum, { factor }, i) => sum + 2 * factor * weights[i]![k]!, 0),
        );
        expect(x.grad!.shape).toEqual(shape);
        (await x.grad!.data()).forEach((value, k) => {
          expect(value).toBeCloseTo(wanted[k]!, 9);
        });
        x.grad = undefined;
        x.dispose();
        expect(liveStorages()).toBe(before);
      }),
      { numRuns: 200 },
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
