import type { Dtype } from "../dtype.ts";
import { checkOptions, flag } from "../options.ts";
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

function reduction(name: string, run: RowOp): Reduction {
  return (x, axes, options = {}) => {
    checkOptions(name, options, { keepDim: flag });
    const result = run([x], axes)[0]!;
    if (options.keepDim) return result;
    const list = axes === undefined ? x.shape.map((_, axis) => axis) : typeof axes === "number" ? [axes] : axes;
    const gone = new Set(list.map((axis) => (axis < 0 ? axis + x.rank : axis)));
    return result.reshape(result.shape.filter((_, axis) => !gone.has(axis)));
  };
}

const NUMBERS: readonly Dtype[] = ["f32", "i32"];

const reduceCases =
  (run: () => Reduction, { differentiable = false, dtypes = NUMBERS } = {}) =>
  (): OpCase[] => {
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
    return dtypes.flatMap((dtype) =>
      shapes.map(([shape, axes]) => ({
        name: `${dtype === "f32" ? "" : `${dtype} `}${JSON.stringify(shape)} over ${JSON.stringify(axes)}`,
        inputs: [{ shape, dtype, range: [-2, 2] }],
        run: ([x]) => [run()(x as Tensor, axes, { keepDim: false })],
        differentiable: differentiable && dtype === "f32" && shape.every((n) => n < 1000),
        special: shape.every((n) => n < 1000),
      })),
    );
  };

/** Sum over `axes` (default all). */
export const sum: Reduction = reduction(
  "sum",
  defineRow("sum", (row, x) => row.storeRow(row.sum(x)), {
    takes: { x: NUMBERS },
    cases: reduceCases(() => sum, { differentiable: true }),
  }),
);
/** Mean of f32 over `axes` (default all); NaN when there is nothing to average. */
export const mean: Reduction = reduction(
  "mean",
  defineRow("mean", (row, x) => row.storeRow(row.sum(x).div(row.count)), {
    takes: ["x"],
    cases: reduceCases(() => mean, { differentiable: true, dtypes: ["f32"] }),
  }),
);
/** Largest element over `axes`; NaN if there is one. Has no gradient. */
export const amax: Reduction = reduction(
  "amax",
  defineRow("amax", (row, x) => row.storeRow(row.max(x)), {
    takes: { x: NUMBERS },
    cases: reduceCases(() => amax),
    differentiable: false,
  }),
);
/** Smallest element over `axes`; NaN if there is one. Has no gradient. */
export const amin: Reduction = reduction(
  "amin",
  defineRow("amin", (row, x) => row.storeRow(row.min(x)), {
    takes: { x: NUMBERS },
    cases: reduceCases(() => amin),
    differentiable: false,
  }),
);
