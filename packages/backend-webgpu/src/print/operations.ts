import type { Dtype } from "@dfine/tensor";
import { type Expr, type Operation, type OperationTable, type ReduceStage, ruleFor } from "@dfine/tensor/kernel";
import { typeOf, type Width, widened } from "./library.ts";

/** `type` is the result's. */
type Print = (args: readonly string[], type: string) => string;

const infix =
  (symbol: string): Print =>
  ([a, b]) =>
    `(${a} ${symbol} ${b})`;
const call =
  (name: string): Print =>
  ([a, b]) =>
    b === undefined ? `${name}(${a})` : `${name}(${a}, ${b})`;
const convert: Print = ([a], type) => `${type}(${a})`;
const reinterpret: Print = ([a], type) => `bitcast<${type}>(${a})`;

/** WGSL by op and element type; `$` and capital types as in the library. */
const OPERATIONS: OperationTable<Print> = {
  add: { f32: infix("+"), i32: infix("+") },
  sub: { f32: infix("-"), i32: infix("-") },
  mul: { f32: infix("*"), i32: infix("*") },
  div: { f32: infix("/"), i32: call("div_i32$") },
  rem: { i32: call("rem_i32$") },
  min: { f32: call("min_f32$"), i32: call("min") },
  max: { f32: call("max_f32$"), i32: call("max") },
  lt: { f32: infix("<"), i32: infix("<"), bool: ([a, b]) => `(!${a} & ${b})` },
  eq: { f32: infix("=="), i32: infix("=="), bool: infix("==") },
  and: { i32: infix("&"), bool: infix("&") },
  or: { i32: infix("|"), bool: infix("|") },
  xor: { i32: infix("^"), bool: infix("!=") },
  shl: { i32: ([a, b]) => `(${a} << (bitcast<U>(${b}) & U(31u)))` },
  shr: { i32: ([a, b]) => `bitcast<I>(bitcast<U>(${a}) >> (bitcast<U>(${b}) & U(31u)))` },
  floor: { f32: call("floor") },
  abs: { f32: call("abs") },
  sqrt: { f32: call("sqrt") },
  exp: { f32: call("exp_f32$") },
  log: { f32: call("log_f32$") },
  tanh: { f32: call("tanh_f32$") },
  sigmoid: { f32: call("sigmoid_f32$") },
  erf: { f32: call("erf_f32$") },
  isNaN: { f32: call("is_nan$") },
  isFinite: { f32: call("is_finite$") },
  cast: { f32: call("to_i32$"), i32: convert, bool: convert },
  bitcast: { f32: reinterpret, i32: reinterpret },
  select: { bool: ([condition, a, b]) => `select(${b}, ${a}, ${condition})` },
};

/** An operation on printed arguments. */
export const printOperation = (e: Expr, args: readonly string[], width: Width): string =>
  widened(ruleFor(OPERATIONS, e)(args, typeOf(e.dtype, width)), width);

export const printConstant = (value: number, dtype: Dtype): string => CONSTANTS[dtype](value);

const CONSTANTS: Record<Dtype, (value: number) => string> = {
  bool: (value) => (value ? "true" : "false"),
  i32: (value) => ((value | 0) === -(2 ** 31) ? "(-2147483647i - 1i)" : `(${value | 0}i)`),
  f32: (value) => {
    const single = Math.fround(value);
    if (Number.isNaN(single)) return "not_a_number()";
    if (!Number.isFinite(single)) return single < 0 ? "(-infinity())" : "infinity()";
    return Object.is(single, -0) ? "(-0.0f)" : `(${single}f)`;
  },
};

/** One step of a fold, of one value or of four side by side. */
export const printFold =
  (op: ReduceStage["op"], dtype: "f32" | "i32", width: Width) =>
  (accumulated: string, value: string): string =>
    widened(OPERATIONS[STEPS[op]][dtype]([accumulated, value], typeOf(dtype, width)), width);

const STEPS = { sum: "add", max: "max", min: "min" } as const satisfies Record<ReduceStage["op"], Operation>;
