import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { defineRow, type RowOp } from "./defineRow.ts";
import type { OpCase } from "./registry.ts";

/** What reductions may be told. */
export interface ReduceOptions {
  /** Keep reduced axes with size 1; default false. */
  readonly keepDim?: boolean;
}

type Reduction = (x: Tensor, axes?: number | readonly number[], options?: ReduceOptions) => Tensor;

function reduction(run: RowOp): Reduction {
  return (x, axes, options = {}) => {
    const result = run([x], axes)[0]!;
    if (options.keepDim) return result;
    const list = axes === undefined ? x.shape.map((_, axis) => axis) : typeof axes === "number" ? [axes] : axes;
    const gone = new Set(list.map((axis) => (axis < 0 ? axis + x.rank : axis)));
    return result.reshape(result.shape.filter((_, axis) => !gone.has(axis)));
  };
}

const reduceCases = (run: () => Reduction, differentiable: boolean) => (): OpCase[] => {
  const shapes: [Shape, number[] | undefined][] = [
    [[3, 5], [1]],
    [[3, 5], [0]],
    [
      [4, 17, 3],
      [0, 2],
    ],
    [[65], undefined],
    [[2, 0], [0]],
    [
      [2, 3, 4, 5],
      [1, 3],
    ],
    [[40000], undefined],
    [[2, 60000], [1]],
  ];
  return shapes.map(([shape, axes]) => ({
    name: `${JSON.stringify(shape)} over ${JSON.stringify(axes)}`,
    inputs: [{ shape, range: [-2, 2] }],
    run: ([x]) => [run()(x as Tensor, axes, { keepDim: false })],
    differentiable: differentiable && shape.every((n) => n < 1000),
    special: shape.every((n) => n < 1000),
  }));
};

/** Sum over `axes` (default all). */
export const sum: Reduction = reduction(
  defineRow("sum", (row, x) => row.storeRow(row.sum(x)), { cases: reduceCases(() => sum, true) }),
);
/** Mean over `axes` (default all); NaN when there is nothing to average. */
export const mean: Reduction = reduction(
  defineRow("mean", (row, x) => row.storeRow(row.sum(x).div(row.count)), { cases: reduceCases(() => mean, true) }),
);
/** Largest element over `axes`; NaN if there is one. Has no gradient. */
export const amax: Reduction = reduction(
  defineRow("amax", (row, x) => row.storeRow(row.max(x)), {
    cases: reduceCases(() => amax, false),
    differentiable: false,
  }),
);
/** Smallest element over `axes`; NaN if there is one. Has no gradient. */
export const amin: Reduction = reduction(
  defineRow("amin", (row, x) => row.storeRow(row.min(x)), {
    cases: reduceCases(() => amin, false),
    differentiable: false,
  }),
);
