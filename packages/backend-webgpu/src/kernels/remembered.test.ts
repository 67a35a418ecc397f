import { conv2d, gradients, indexAdd, indexSelect, matmul, type Tensor, topK } from "@dfine/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { bothKinds, evaluate, f32, type Input, i32, type Run, reference } from "../../test/opKit.ts";

const kinds = await bothKinds();
afterAll(() => {
  for (const [, backend] of kinds) backend.dispose();
});

const values = (shape: readonly number[], seed: number): Input => {
  const length = shape.reduce((a, b) => a * b, 1);
  return f32(
    // Small whole numbers: sums of their products are exact, in any order.
    Array.from({ length }, (_, i) => (((i + seed) * 7919) % 13) - 6),
    shape,
  );
};

const CALLS: Readonly<Record<string, { readonly inputs: (seed: number) => Input[]; readonly run: Run }>> = {
  "a product in parts": {
    inputs: (seed) => [values([8, 4000], seed), values([4000, 8], seed + 1)],
    run: ([a, b]) => [matmul(a!, b!)],
  },
  "a product with itself": { inputs: (seed) => [values([9, 9], seed)], run: ([a]) => [matmul(a!, a!)] },
  "a convolution's gradients": {
    inputs: (seed) => [values([2, 3, 9, 9], seed), values([4, 3, 3, 3], seed + 1), values([2, 4, 7, 7], seed + 2)],
    run: ([x, weight, dy]) => gradients((leaves) => conv2d(leaves[0]!, leaves[1]!), { inputs: [x!, weight!], dy: dy! }),
  },
  "rows by index": {
    inputs: (seed) => [i32([seed % 5, 4, 2, 2], [4]), values([4, 3], seed), values([5, 8], seed)],
    run: ([index, updates, x]) => [indexAdd(index!, updates!, 5), indexSelect(x!, index!)],
  },
  "the largest": {
    inputs: (seed) => [values([3, 40], seed)],
    run: ([x]) => Object.values(topK(x!, 4)) as Tensor[],
  },
};

describe.each(kinds)("what a call does again, %s", (_, backend) => {
  it.each(Object.entries(CALLS))("%s: other elements give other results", async (_, { inputs, run }) => {
    for (const seed of [1, 2, 3])
      expect(await evaluate(backend, inputs(seed), run)).toEqual(await evaluate(reference, inputs(seed), run));
  });
});
