import { casesOf, coalesce, defineRow, noGrad, sqrt, stack, sum, type Tensor } from "@dfine/tensor";

const sumOfSquares = defineRow("sumOfSquares", (row, x) => row.storeRow(row.sum(x.mul(x))), {
  takes: ["x"],
  cases: (op) =>
    casesOf("3x5 65 2x0 200x300", (shape) => ({
      inputs: [{ shape }],
      run: (x) => op([x], undefined),
      differentiable: shape.every((n) => n < 100),
    })),
});

/** L2 norm over all elements of all tensors, a one-element tensor: read it together with the loss. */
export const globalNorm = (tensors: readonly Tensor[]): Tensor =>
  noGrad(() => {
    const rows = coalesce(tensors.filter(({ size }) => size > 0).map((x) => [x]));
    const squares = rows.map(([x]) => sumOfSquares([x!], undefined)[0]!.reshape([]));
    return sqrt(sum(stack(squares)));
  });

/** Factor that brings gradients of L2 norm `norm` down to `maxNorm`; 1 where they are smaller, or `maxNorm` is 0. PyTorch's. */
export const clipCoefficient = (norm: number, maxNorm: number): number =>
  maxNorm > 0 ? Math.min(1, maxNorm / (norm + 1e-6)) : 1;
