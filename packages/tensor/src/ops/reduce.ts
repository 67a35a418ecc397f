import type { Dtype } from "../dtype.ts";
import { checkOptions, flag } from "../options.ts";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { defineRow, type RowOp } from "./defineRow.ts";
import { type OpCase, shapesOf } from "./registry.ts";

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

/** What is summed, over which axes; without them over all. */
const CASES = ["3x5 1", "3x5 0", "4x17x3 0x2", "65", "2x0 0", "2x3x4x5 1x3", "40000", "2x60000 1"];

const reduceCases =
  (run: () => Reduction, { differentiable = false, dtypes = NUMBERS } = {}) =>
  (): OpCase[] =>
    dtypes.flatMap((dtype) =>
      CASES.map((text): OpCase => {
        const [shape, axes] = shapesOf(text) as [Shape, Shape?];
        const isSmall = shape.every((n) => n < 1000);
        return {
          name: `${dtype === "f32" ? "" : `${dtype} `}${JSON.stringify(shape)} over ${JSON.stringify(axes)}`,
          inputs: [{ shape, dtype, range: [-2, 2] }],
          run: (x) => [run()(x, axes, { keepDim: false })],
          differentiable: differentiable && dtype === "f32" && isSmall,
          special: isSmall,
        };
      }),
    );

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
