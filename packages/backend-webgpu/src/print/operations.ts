import type { Dtype } from "@dfine/tensor";
import type { Expr, ReduceStage } from "@dfine/tensor/kernel";
import { type Width, widened } from "./library.ts";

type Print = (a: string, b: string, c: string) => string;
type Row = Readonly<Partial<Record<Dtype, Print>>>;

const bitwise = (symbol: string): Row => ({
  i32: (a, b) => `(${a} ${symbol} ${b})`,
  bool: (a, b) => `(${a} ${symbol} ${b})`,
});
const arithmetic = (symbol: string): Row => ({
  f32: (a, b) => `(${a} ${symbol} ${b})`,
  i32: (a, b) => `(${a} ${symbol} ${b})`,
});

/** WGSL by op and the dtype of its first argument; `$` and capital types as in the library. */
const OPERATIONS: Readonly<Partial<Record<Expr["op"], Row>>> = {
  add: arithmetic("+"),
  sub: arithmetic("-"),
  mul: arithmetic("*"),
  div: { f32: (a, b) => `(${a} / ${b})`, i32: (a, b) => `div_i32$(${a}, ${b})` },
  rem: { i32: (a, b) => `rem_i32$(${a}, ${b})` },
  min: { f32: (a, b) => `min_f32$(${a}, ${b})`, i32: (a, b) => `min(${a}, ${b})` },
  max: { f32: (a, b) => `max_f32$(${a}, ${b})`, i32: (a, b) => `max(${a}, ${b})` },
  lt: { f32: (a, b) => `(${a} < ${b})`, i32: (a, b) => `(${a} < ${b})`, bool: (a, b) => `(!${a} & ${b})` },
  eq: {
    f32: (a, b) => `(${a} == ${b})`,
    i32: (a, b) => `(${a} == ${b})`,
    bool: (a, b) => `(${a} == ${b})`,
  },
  and: bitwise("&"),
  or: bitwise("|"),
  xor: { i32: (a, b) => `(${a} ^ ${b})`, bool: (a, b) => `(${a} != ${b})` },
  shl: { i32: (a, b) => `(${a} << (bitcast<U>(${b}) & U(31u)))` },
  shr: { i32: (a, b) => `bitcast<I>(bitcast<U>(${a}) >> (bitcast<U>(${b}) & U(31u)))` },
  floor: { f32: (a) => `floor(${a})` },
  abs: { f32: (a) => `abs(${a})` },
  sqrt: { f32: (a) => `sqrt(${a})` },
  exp: { f32: (a) => `exp_f32$(${a})` },
  log: { f32: (a) => `log_f32$(${a})` },
  tanh: { f32: (a) => `tanh_f32$(${a})` },
  sigmoid: { f32: (a) => `sigmoid_f32$(${a})` },
  erf: { f32: (a) => `erf_f32$(${a})` },
  isnan: { f32: (a) => `is_nan$(${a})` },
  isfinite: { f32: (a) => `is_finite$(${a})` },
  select: { bool: (condition, a, b) => `select(${b}, ${a}, ${condition})` },
};

/** An operation on printed arguments. */
export function printOperation(e: Expr, args: readonly string[], width: Width): string {
  const from = e.args[0]!.dtype;
  if (e.op === "bitcast") return `bitcast<${typeOf(e.dtype, width)}>(${args[0]})`;
  if (e.op === "cast") {
    if (from === "f32" && e.dtype === "i32") return widened(`to_i32$(${args[0]})`, width);
    return `${typeOf(e.dtype, width)}(${args[0]})`;
  }
  const print = OPERATIONS[e.op]?.[from];
  if (!print) throw new Error(`webgpu: ${e.op} of ${from} has no WGSL form`);
  return widened(print(args[0]!, args[1]!, args[2]!), width);
}

/** WGSL's type of one value or four. */
export const typeOf = (dtype: Dtype, width: Width): string => (width === 1 ? dtype : `vec4<${dtype}>`);

export function printConstant(value: number, dtype: Dtype): string {
  switch (dtype) {
    case "bool":
      return value ? "true" : "false";
    case "i32": {
      const whole = value | 0;
      return whole === -(2 ** 31) ? "(-2147483647i - 1i)" : `(${whole}i)`;
    }
    case "f32": {
      const single = Math.fround(value);
      if (Number.isNaN(single)) return "not_a_number()";
      if (!Number.isFinite(single)) return single < 0 ? "(-infinity())" : "infinity()";
      return Object.is(single, -0) ? "(-0.0f)" : `(${single}f)`;
    }
    default:
      dtype satisfies never;
      throw new Error("unreachable: unknown dtype");
  }
}

/** One step of a fold, of one value or of four side by side. */
export const printFold =
  (op: ReduceStage["op"], dtype: "f32" | "i32", width: Width) =>
  (accumulated: string, value: string): string =>
    widened(FOLDS[op][dtype](accumulated, value), width);

const plus = (acc: string, v: string): string => `${acc} + ${v}`;
const FOLDS: Record<ReduceStage["op"], Record<"f32" | "i32", (acc: string, v: string) => string>> = {
  sum: { f32: plus, i32: plus },
  max: { f32: (acc, v) => `max_f32$(${acc}, ${v})`, i32: (acc, v) => `max(${acc}, ${v})` },
  min: { f32: (acc, v) => `min_f32$(${acc}, ${v})`, i32: (acc, v) => `min(${acc}, ${v})` },
};
