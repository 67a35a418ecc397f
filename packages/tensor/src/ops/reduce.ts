import type { Dtype } from "../dtype.ts";
import type { Expr } from "../kernel/expr.ts";
import { axesOption, flag, options } from "../options.ts";
import { normalizeAxes, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { type OpCase, shapesOf } from "./cases.ts";
import { defineCall } from "./defineCall.ts";
import { defineRow, type RowBuilder } from "./defineRow.ts";
import { NUMBERS } from "./inputs.ts";

/** What reductions may be told. */
export interface ReduceOptions {
  /** Keep reduced axes with size 1; default false. */
  readonly keepDim?: boolean;
}

type Reduction = (x: Tensor, axes?: number | readonly number[], options?: ReduceOptions) => Tensor;

/** What is summed, over which axes; without them over all. */
const CASES = ["3x5 1", "3x5 0", "4x17x3 0x2", "65", "2x0 0", "2x3x4x5 1x3", "40000", "2x60000 1"];

interface ReductionOptions {
  /** False when it has no useful derivative. */
  readonly differentiable?: boolean;
  /** Default f32 and i32. */
  readonly dtypes?: readonly Dtype[];
}

const casesOfReduction = (reduce: Reduction, dtype: Dtype, differentiable: boolean): OpCase[] =>
  CASES.map((text) => {
    const [shape, axes] = shapesOf(text) as [Shape, Shape?];
    const isSmall = shape.every((n) => n < 1000);
    return {
      name: `${dtype === "f32" ? "" : `${dtype} `}${JSON.stringify(shape)} over ${JSON.stringify(axes)}`,
      inputs: [{ shape, dtype, range: [-2, 2] }],
      run: (x) => [reduce(x, axes, { keepDim: false })],
      differentiable: differentiable && dtype === "f32" && isSmall,
      special: isSmall,
    };
  });

function defineReduction(
  name: string,
  build: (row: RowBuilder, x: Expr) => Expr,
  { differentiable = true, dtypes = NUMBERS }: ReductionOptions = {},
): Reduction {
  const run = defineRow(name, (row, x: Expr) => row.storeRow(build(row, x)), {
    takes: { x: dtypes },
    cases: () => dtypes.flatMap((dtype) => casesOfReduction(reduce, dtype, differentiable)),
    differentiable,
  });
  const reduce: Reduction = defineCall(
    name,
    { x: dtypes, "axes?": axesOption, "options?": options<ReduceOptions>({ keepDim: flag }) },
    (x: Tensor, axes?: number | readonly number[], { keepDim = false }: ReduceOptions = {}): Tensor => {
      const result = run([x], axes)[0]!;
      if (keepDim) return result;
      const gone = normalizeAxes(name, axes, x.rank);
      return result.reshape(result.shape.filter((_, axis) => !gone.includes(axis)));
    },
  );
  return reduce;
}

/** Sum over `axes` (default all). */
export const sum = defineReduction("sum", (row, x) => row.sum(x));
/** Mean of f32 over `axes` (default all); NaN when there is nothing to average. */
export const mean = defineReduction("mean", (row, x) => row.sum(x).div(row.count), { dtypes: ["f32"] });
/** Largest element over `axes`; NaN if there is one. Has no gradient. */
export const amax = defineReduction("amax", (row, x) => row.max(x), { differentiable: false });
/** Smallest element over `axes`; NaN if there is one. Has no gradient. */
export const amin = defineReduction("amin", (row, x) => row.min(x), { differentiable: false });
