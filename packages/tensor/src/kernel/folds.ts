import type { ReduceStage } from "./kernel.ts";

/** What a reduction is folded from: `row` of an empty one. */
const IDENTITIES: Record<ReduceStage["op"], Record<"f32" | "i32", number>> = {
  sum: { f32: 0, i32: 0 },
  max: { f32: Number.NEGATIVE_INFINITY, i32: -(2 ** 31) },
  min: { f32: Number.POSITIVE_INFINITY, i32: 2 ** 31 - 1 },
};

/** How a reduction is folded, whatever it is printed as. */
export interface FoldPlan {
  /** Of what is folded: bools count as 0 and 1. */
  readonly dtype: "f32" | "i32";
  readonly identity: number;
  /** Whether it is summed in strips, whose sums are then added with care: float32 loses less so. */
  readonly inStrips: boolean;
}

/** Elements per lane that are summed before they are added to a longer sum. */
export const STRIP = 64;

/** How a stage is folded that goes along `loops` reduced axes. */
export function foldPlan({ op, expr }: ReduceStage, loops: number): FoldPlan {
  const dtype = expr.dtype === "f32" ? "f32" : "i32";
  return { dtype, identity: IDENTITIES[op][dtype], inStrips: op === "sum" && dtype === "f32" && loops > 0 };
}
