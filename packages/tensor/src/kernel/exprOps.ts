import type { Dtype } from "../dtype.ts";

/** Nodes without arguments, except `load`, which may have an index. */
export type LeafOp = "const" | "param" | "axis" | "load" | "row";

/** Operations on one argument, which are methods of `Expr`, and the element types that each takes. */
export const UNARY = {
  /** Largest whole number not above it. */
  floor: ["f32"],
  /** |this|. */
  abs: ["f32"],
  /** √this. */
  sqrt: ["f32"],
  /** eˣ. */
  exp: ["f32"],
  /** Natural logarithm. */
  log: ["f32"],
  /** Hyperbolic tangent. */
  tanh: ["f32"],
  /** 1 / (1 + e⁻ˣ): not made of others, because the quotient's derived gradient overflows where x is very negative. */
  sigmoid: ["f32"],
  /** Error function. */
  erf: ["f32"],
  /** Whether it is NaN, as bool. */
  isNaN: ["f32"],
  /** Whether it is neither NaN nor infinite, as bool. */
  isFinite: ["f32"],
} as const;

/** Operations on two arguments alike in element type, which are methods of `Expr`, and the element types that each takes. */
export const BINARY = {
  /** this + other. */
  add: ["f32", "i32"],
  /** this − other. */
  sub: ["f32", "i32"],
  /** this · other. */
  mul: ["f32", "i32"],
  /** this / other; truncates for i32. */
  div: ["f32", "i32"],
  /** Remainder of truncating division. */
  rem: ["i32"],
  /** The smaller; NaN if either is. */
  min: ["f32", "i32"],
  /** The larger; NaN if either is. */
  max: ["f32", "i32"],
  /** this < other, as bool; false for NaN. */
  lt: ["f32", "i32", "bool"],
  /** this = other, as bool; false for NaN. */
  eq: ["f32", "i32", "bool"],
  /** Bitwise and. */
  and: ["i32", "bool"],
  /** Bitwise or. */
  or: ["i32", "bool"],
  /** Bitwise exclusive or. */
  xor: ["i32", "bool"],
  /** Shift to the left. */
  shl: ["i32"],
  /** Logical shift: zeros come in from the left. */
  shr: ["i32"],
} as const;

/** Element types that each operation takes, all its arguments alike; of `select`, the condition. */
export const OPERAND_DTYPES = {
  ...UNARY,
  ...BINARY,
  cast: ["f32", "i32", "bool"],
  bitcast: ["f32", "i32"],
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

/** Operations that take longer than reading a number from memory. */
export const COSTLY: ReadonlySet<ExprOp> = new Set<Operation>(["exp", "log", "tanh", "sigmoid", "erf"]);
