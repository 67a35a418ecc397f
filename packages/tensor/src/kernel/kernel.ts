import type { Dtype } from "../dtype.ts";
import type { Expr } from "./expr.ts";

/** How an operand moves along one axis: to the next element, not at all, or by a run-time stride. */
export type Walk = "unit" | "still" | "stride";

/** `update` operands are read and written in place; no other operand of the launch may share their elements. */
export type AccessMode = "read" | "write" | "update";

/** A tensor that a kernel touches. */
export interface Operand {
  readonly dtype: Dtype;
  readonly mode: AccessMode;
  /** One entry per axis. An indexed operand is reached only by computed element indices and stands still on all axes. */
  readonly walk: readonly Walk[];
  readonly indexed: boolean;
}

/** A value to be stored, and where. */
export interface Write {
  readonly operand: number;
  readonly expr: Expr;
}

/**
 * `reduce` folds `expr` over the reduced axes into `row(k)`, k counting the reduce stages from 0; an empty fold gives
 * 0, −∞ or +∞ (i32: its smallest or largest value).
 * `store` evaluates all `writes` and then stores them: for every element, or once per row when `perRow`.
 * `scatter` adds `expr` to the element `index` of an indexed operand, for every element; an index outside it is dropped.
 */
export type Stage =
  | { readonly kind: "reduce"; readonly op: "sum" | "max" | "min"; readonly expr: Expr }
  | { readonly kind: "store"; readonly perRow: boolean; readonly writes: readonly Write[] }
  | { readonly kind: "scatter"; readonly operand: number; readonly index: Expr; readonly expr: Expr };

/**
 * A loop nest over `axes` (map axes first, then reduced ones). For every index of the map axes, a row, the stages run
 * in order. Rows are independent of each other, except that `scatter` may meet an element from several rows.
 * Equal keys mean equal kernels; a key holds no sizes, strides, offsets or parameters, so no shape compiles anew.
 */
export interface Kernel {
  readonly name: string;
  readonly key: string;
  readonly axes: readonly ("map" | "reduce")[];
  readonly operands: readonly Operand[];
  readonly params: readonly Dtype[];
  readonly stages: readonly Stage[];
}

/** A stage that folds. */
export type ReduceStage = Extract<Stage, { kind: "reduce" }>;

/** The axes of one kind, outermost first. */
export const axesOf = ({ axes }: Pick<Kernel, "axes">, kind: "map" | "reduce"): number[] =>
  axes.flatMap((own, axis) => (own === kind ? [axis] : []));

/** The expressions of a stage. */
export function stageExpressions(stage: Stage): Expr[] {
  switch (stage.kind) {
    case "reduce":
      return [stage.expr];
    case "store":
      return stage.writes.map((write) => write.expr);
    case "scatter":
      return [stage.index, stage.expr];
    default:
      stage satisfies never;
      throw new Error("unreachable: unknown stage");
  }
}
