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

/** A value to be stored where an operand's walk points, or to be added to one of its elements. */
export interface Write {
  readonly operand: number;
  readonly expr: Expr;
  /** Of an indexed operand, the element to which the value is added; outside the operand it is dropped. */
  readonly index?: Expr;
}

/**
 * `reduce` folds `expr` over the reduced axes into `row(k)`, k counting the reduce stages from 0; an empty fold gives
 * 0, −∞ or +∞ (i32: its smallest or largest value).
 * `store` evaluates all `writes` and then stores them: for every element, or once per row when `perRow`.
 */
export type Stage =
  | { readonly kind: "reduce"; readonly op: "sum" | "max" | "min"; readonly expr: Expr }
  | { readonly kind: "store"; readonly perRow: boolean; readonly writes: readonly Write[] };

/**
 * A loop nest over `axes` (map axes first, then reduced ones). For every index of the map axes, a row, the stages run
 * in order. Rows are independent of each other, except that writes with an index may meet an element from several rows.
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
/** A stage that writes. */
export type StoreStage = Extract<Stage, { kind: "store" }>;

/** The axes of one kind, outermost first. */
export const axesOf = ({ axes }: Pick<Kernel, "axes">, kind: "map" | "reduce"): number[] =>
  axes.flatMap((own, axis) => (own === kind ? [axis] : []));

/** The expressions of a stage; of a write its index comes first. */
export const stageExpressions = (stage: Stage): Expr[] =>
  stage.kind === "reduce"
    ? [stage.expr]
    : stage.writes.flatMap(({ index, expr }) => (index === undefined ? [expr] : [index, expr]));

/** Whether a kernel adds to elements by index: several rows may meet one, so their order counts. */
export const scatters = ({ operands }: Pick<Kernel, "operands">): boolean =>
  operands.some(({ mode, indexed }) => indexed && mode === "update");
