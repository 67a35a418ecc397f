import { defineMap } from "./defineMap.ts";
import { ANY, NUMBERS } from "./inputs.ts";

/** The same values in new storage, row-major. */
export const identity = defineMap("identity", (x) => x, { dtypes: ANY });

/** a + b, elementwise with broadcasting. */
export const add = defineMap("add", (a, b) => a.add(b), { dtypes: NUMBERS });
/** a − b, elementwise with broadcasting. */
export const sub = defineMap("sub", (a, b) => a.sub(b), { dtypes: NUMBERS });
/** a · b, elementwise with broadcasting. */
export const mul = defineMap("mul", (a, b) => a.mul(b), { dtypes: NUMBERS });
/** a / b, elementwise with broadcasting, of f32. */
export const div = defineMap("div", (a, b) => a.div(b), {
  inputs: [
    [-3, 3],
    [0.5, 4],
  ],
});
/** −x. */
export const neg = defineMap("neg", (x) => x.neg(), { dtypes: NUMBERS });
/** Larger of two; NaN if either is; at a tie each side gets half of the gradient. */
export const maximum = defineMap("maximum", (a, b) => a.max(b), { dtypes: NUMBERS });
/** Smaller of two; NaN if either is; at a tie each side gets half of the gradient. */
export const minimum = defineMap("minimum", (a, b) => a.min(b), { dtypes: NUMBERS });
/** Gradient 0 at 0. */
export const abs = defineMap("abs", (x) => x.abs());
/** x². */
export const square = defineMap("square", (x) => x.mul(x), { dtypes: NUMBERS });
/** √x. */
export const sqrt = defineMap("sqrt", (x) => x.sqrt(), { inputs: [[0.1, 4]] });
/** eˣ. */
export const exp = defineMap("exp", (x) => x.exp());
/** Natural logarithm. */
export const log = defineMap("log", (x) => x.log(), { inputs: [[0.1, 4]] });
/** Largest whole number not above x; no gradient. */
export const floor = defineMap("floor", (x) => x.floor(), { differentiable: false });
/** x limited to low…high; gradient 1 at the limits. NaN stays. */
export const clamp = defineMap("clamp", (x, low, high) => x.lt(low).select(low, high.lt(x).select(high, x)), {
  inputs: [[-3, 3], -1, 2],
  dtypes: NUMBERS,
});

/** a < b as bool; false for NaN. */
export const less = defineMap("less", (a, b) => a.lt(b), { differentiable: false, dtypes: NUMBERS });
/** a = b as bool; false for NaN. */
export const equal = defineMap("equal", (a, b) => a.eq(b), { differentiable: false, dtypes: ANY });
/** Both, of bools. */
export const logicalAnd = defineMap("logicalAnd", (a, b) => a.and(b), { differentiable: false, dtypes: ["bool"] });
/** Negation of a bool. */
export const logicalNot = defineMap("logicalNot", (x) => x.not(), { differentiable: false, dtypes: ["bool"] });
/** 1 where finite, tested on bits where a backend needs that. */
export const isFiniteNumber = defineMap("isFinite", (x) => x.isFinite(), { differentiable: false });
/** mask ? a : b; mask is bool. */
export const where = defineMap("where", (mask, a, b) => mask.select(a, b), {
  inputs: ["bool", [-3, 3], [-3, 3]],
  dtypes: ANY,
});

/** The same values as f32. */
export const toFloat = defineMap("toFloat", (x) => x.cast("f32"), {
  differentiable: false,
  dtypes: ANY,
});
/** Truncates toward zero. */
export const toInt = defineMap("toInt", (x) => x.cast("i32"), { differentiable: false, dtypes: ANY });
