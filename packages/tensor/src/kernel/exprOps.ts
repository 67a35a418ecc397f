import type { Dtype } from "../dtype.ts";

/** Nodes without arguments, except `load`, which may have an index. */
export type LeafOp = "const" | "param" | "axis" | "load" | "row";

/** Element types that each operation takes, all its arguments alike; of `select`, the condition. */
export const OPERAND_DTYPES = {
  floor: ["f32"],
  abs: ["f32"],
  sqrt: ["f32"],
  exp: ["f32"],
  log: ["f32"],
  tanh: ["f32"],
  sigmoid: ["f32"],
  erf: ["f32"],
  isnan: ["f32"],
  isfinite: ["f32"],
  cast: ["f32", "i32", "bool"],
  bitcast: ["f32", "i32"],
  add: ["f32", "i32"],
  sub: ["f32", "i32"],
  mul: ["f32", "i32"],
  div: ["f32", "i32"],
  rem: ["i32"],
  min: ["f32", "i32"],
  max: ["f32", "i32"],
  lt: ["f32", "i32", "bool"],
  eq: ["f32", "i32", "bool"],
  and: ["i32", "bool"],
  or: ["i32", "bool"],
  xor: ["i32", "bool"],
  shl: ["i32"],
  shr: ["i32"],
  select: ["bool"],
} as const satisfies Readonly<Record<string, readonly Dtype[]>>;

/** Nodes that compute something from their arguments. */
export type Operation = keyof typeof OPERAND_DTYPES;
/** All kinds of nodes. */
export type ExprOp = LeafOp | Operation;

/** A rule for each operation and each element type it takes: where one is missing, nothing compiles. */
export type OperationTable<Rule, Op extends Operation = Operation> = {
  readonly [Name in Op]: Readonly<Record<(typeof OPERAND_DTYPES)[Name][number], Rule>>;
};
