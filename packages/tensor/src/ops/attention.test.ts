import { beforeAll, describe, expect, it } from "vitest";
import {
  backward,
  referenceBackend,
  ShapeError,
  scaledDotProductAttention,
  setBackend,
  sizeOf,
  type Tensor,
  tensor,
} from "../index.ts";

beforeAll(() => setBackend(referenceBackend({ floatBits: 64, poison: true })));

const [queries, keys, depth] = [3, 4, 2];
const drawn = (shape: readonly number[], seed: number): Tensor =>
  tensor(
    Float64Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(7 * i + seed)),
    shape,
  );
const query = () => drawn([1, 1, queries, depth], 1);
const inputs = () => ({ query: query(), key: drawn([1, 1, keys, depth], 2), value: drawn([1, 1, keys, depth], 3) });

/** One head written out with loops. */
async function expected(allowed: (i: number, j: number) => boolean): Promise<number[]> {
  const { query, key, value } = inputs();
  const [q, k, v] = await Promise.all([query.data(), key.data(), value.data()]);
  return Array.from({ length: queries }, (_, i) => {
    const powers = Array.from({ length: keys }, (_, j) =>
      allowed(i, j) ? Math.exp((q[i * 2]! * k[j * 2]! + q[i * 2 + 1]! * k[j * 2 + 1]!) / Math.SQRT2) : 0,
    );
    const sum = powers.reduce((a, b) => a + b);
    return [0, 1].map((d) => powers.reduce((total, p, j) => total + (p / sum) * v[j * 2 + d]!, 0));
  }).flat();
}

const isBefore = (i: number, j: number): boolean => j <= i;
const mask = (value: (isAllowed: boolean) => number) =>
  Array.from({ length: queries * keys }, (_, at) => value(isBefore(Math.floor(at / keys), at % keys)));

/** Masks, and which key a query may see. */
const MASKS: Readonly<Record<string, [make: () => Tensor | undefined, allowed: (i: number, j: number) => boolean]>> = {
  nothing: [() => undefined, () => true],
  "−∞": [
    () =>
      tensor(
        mask((is) => (is ? 0 : Number.NEGATIVE_INFINITY)),
        [queries, keys],
      ),
    isBefore,
  ],
  false: [() => tensor(mask(Number), [queries, keys], { dtype: "bool" }), isBefore],
  "a row for all queries": [() => tensor([1, 1, 0, 1], [keys], { dtype: "bool" }), (_, j) => j !== 2],
};

describe("scaledDotProductAttention", () => {
  it.each(Object.entries(MASKS))(
    "equals attention written out with loops, blocked by %s",
    async (_, [make, allowed]) => {
      const result = scaledDotProductAttention(inputs(), { mask: make() });
      expect(result.shape).toEqual([1, 1, queries, depth]);
      const actual = await result.data();
      for (const [i, value] of (await expected(allowed)).entries()) expect(actual[i]).toBeCloseTo(value, 12);
    },
  );

  it("hands gradients on to a mask", async () => {
    const added = drawn([keys], 4);
    added.requiresGrad = true;
    backward(scaledDotProductAttention(inputs(), { mask: added }).sum());
    const sums = [...(await added.grad!.data())];
    // Adding the same to all scores changes nothing.
    expect(sums.reduce((a, b) => a + b)).toBeCloseTo(0, 12);
    expect(sums.some((x) => Math.abs(x) > 1e-3)).toBe(true);
  });

  it("names a mask that does not fit", () => {
    expect(() => scaledDotProductAttention(inputs(), { mask: drawn([5, keys], 1) })).toThrow(ShapeError);
    expect(() => scaledDotProductAttention(inputs(), { mask: drawn([2, 1, queries, keys], 1) })).toThrow(
      "scaledDotProductAttention: mask [2, 1, 3, 4] does not broadcast to the scores [1, 1, 3, 4]",
    );
  });
});
