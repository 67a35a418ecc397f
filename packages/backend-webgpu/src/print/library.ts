import { LN2, POLYNOMIALS } from "@dfine/tensor/kernel";
import type { StorageAccess } from "../commands/shader.ts";

// Functions that WGSL lacks or defines too loosely: it allows exp and log more error than a loss can bear, leaves NaN in
// max and min open, and forbids infinity in constants. Tests for NaN look at bits, since compilers may assume there is none.

/** Horner's scheme. */
const polynomial = (x: string, coefficients: readonly number[]): string =>
  coefficients.slice(0, -1).reduceRight((value, c) => `fma(${value}, ${x}, F(${c}))`, `F(${coefficients.at(-1)})`);

/** Constants that WGSL does not let one write; a variable's value is not looked into. */
const CONSTANTS: Readonly<Record<string, string>> = {
  infinity: `
var<private> infinity_bits: u32 = 0x7f800000u;
fn infinity() -> f32 { return bitcast<f32>(infinity_bits); }`,
  not_a_number: `
var<private> nan_bits: u32 = 0x7fc00000u;
fn not_a_number() -> f32 { return bitcast<f32>(nan_bits); }`,
};

/** Templates for one number or four: F, I, U and B are the types, $ ends the names. */
const FUNCTIONS: Readonly<Record<string, string>> = {
  is_nan: `
fn is_nan$(x: F) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u); }`,

  is_finite: `
fn is_finite$(x: F) -> B { return (bitcast<U>(x) & U(0x7f800000u)) != U(0x7f800000u); }`,

  max_f32: `
fn max_f32$(a: F, b: F) -> F { return select(select(max(a, b), b, is_nan$(b)), a, is_nan$(a)); }`,

  min_f32: `
fn min_f32$(a: F, b: F) -> F { return select(select(min(a, b), b, is_nan$(b)), a, is_nan$(a)); }`,

  to_i32: `
fn to_i32$(x: F) -> I {
  let inside = I(clamp(x, F(-2147483648.0), F(2147483520.0)));
  let above = select(inside, I(2147483647), x >= F(2147483648.0));
  return select(above, I(0), is_nan$(x));
}`,

  div_i32: `
fn div_i32$(a: I, b: I) -> I { return select(a / select(b, I(1), b == I(0)), I(0), b == I(0)); }`,

  rem_i32: `
fn rem_i32$(a: I, b: I) -> I { return select(a % select(b, I(1), b == I(0)), I(0), b == I(0)); }`,

  // A float's bits as an integer, never 0, that sorts as floats do: NaN above all else, zeros of both signs equal. Without
  // the sign, only bits of NaN lie above infinity's.
  order_key: `
fn order_key$(bits: I) -> U {
  let word = bitcast<U>(bits);
  let magnitude = word << U(1u);
  let turned = word ^ (bitcast<U>(bits >> U(31u)) | U(0x80000000u));
  return select(select(turned, U(0x80000000u), magnitude == U(0u)), U(0xffffffffu), magnitude > U(0xff000000u));
}`,

  // e^x = 2ⁿ · e^r; n goes straight into the exponent bits. Below −87.34 the result is subnormal and flushed to 0.
  exp_f32: `
fn exp_f32$(x: F) -> F {
  let n = round(clamp(x, F(-100.0), F(100.0)) * F(${Math.LOG2E}));
  let r = fma(n, F(${-LN2.low}), fma(n, F(${-LN2.high}), x));
  let m = fma(${polynomial("r", POLYNOMIALS.exp)}, r * r, r) + F(1.0);
  let scaled = bitcast<U>(m) + (bitcast<U>(I(n)) << U(23u));
  let flushed = select(scaled, U(0u), x < F(-87.33654));
  let high = select(flushed, U(0x7f800000u), x >= F(${Math.fround(128 * Math.LN2)}));
  return bitcast<F>(select(high, bitcast<U>(x), is_nan$(x)));
}`,

  // ln x = e · ln 2 + ln(1 + f), 1 + f in √½ … √2. Subnormals are scaled up first.
  log_f32: `
fn log_f32$(x: F) -> F {
  let tiny = x < F(${Math.fround(2 ** -126)});
  let bits = bitcast<I>(select(x, x * F(${2 ** 23}.0), tiny));
  let biased = bitcast<I>(bitcast<U>(bits + I(${0x3f800000 - 0x3f3504f3})) >> U(23u));
  let exponent = F(biased - select(I(127), I(150), tiny));
  let f = bitcast<F>(bits + I(0x3f800000) - (biased << U(23u))) - F(1.0);
  let square = f * f;
  let tail = fma(square, F(-0.5), fma(exponent, F(${LN2.low}), ${polynomial("f", POLYNOMIALS.log)} * (f * square)));
  let finite = bitcast<U>(fma(exponent, F(${LN2.high}), f + tail));
  let positive = select(finite, bitcast<U>(x), x > F(${Math.fround(3.4028234e38)}));
  let result = select(positive, select(U(0x7fc00000u), U(0xff800000u), x == F(0.0)), x <= F(0.0));
  return bitcast<F>(select(result, bitcast<U>(x), is_nan$(x)));
}`,

  sigmoid_f32: `
fn sigmoid_f32$(x: F) -> F { return F(1.0) / (F(1.0) + exp_f32$(-x)); }`,

  tanh_f32: `
fn tanh_f32$(x: F) -> F {
  let square = x * x;
  let small = x * fma(${polynomial("square", POLYNOMIALS.tanh)}, square, F(1.0));
  let large = F(1.0) - F(2.0) / (exp_f32$(abs(x) * F(2.0)) + F(1.0));
  return select(select(large, -large, x < F(0.0)), small, abs(x) < F(0.625));
}`,

  erf_f32: `
fn erf_f32$(x: F) -> F {
  let square = x * x;
  let small = fma(${polynomial("square", POLYNOMIALS.erfSmall)}, x, x);
  let t = min(abs(x), F(4.0));
  let large = F(1.0) - exp_f32$(t * (${polynomial("t", POLYNOMIALS.erfLarge)}));
  let finite = select(select(large, -large, x < F(0.0)), small, abs(x) < F(0.875));
  return select(finite, x, is_nan$(x));
}`,
};

/** How many numbers an expression computes at a time. */
export type Width = 1 | 4;

/** WGSL's type of one value or four. */
export const typeOf = (scalar: string, width: Width): string => (width === 1 ? scalar : `vec4<${scalar}>`);

/** A template's text for one number or four. */
export const widened = (template: string, width: Width): string =>
  template
    .replaceAll("$", width === 1 ? "" : "_x4")
    .replaceAll(/\b[FIUB]\b/g, (letter) => typeOf({ F: "f32", I: "i32", U: "u32", B: "bool" }[letter]!, width));

const WIDTHS: readonly Width[] = [1, 4];
/** By name as called: `exp_f32`, `exp_f32_x4` … */
const LIBRARY: ReadonlyMap<string, string> = new Map([
  ...Object.entries(CONSTANTS),
  ...Object.entries(FUNCTIONS).flatMap(([name, template]) =>
    WIDTHS.map((width): [string, string] => [widened(`${name}$`, width), widened(template, width)]),
  ),
]);

/** A kernel's whole text: its uniforms, storage buffers from binding 1 on, what it calls of the library, and `body`. */
export function shaderText(
  fields: readonly { readonly name: string; readonly type?: string }[],
  bindings: readonly { readonly name: string; readonly mode: StorageAccess; readonly type: string }[],
  body: string,
): string {
  return [
    `struct Uniforms { ${fields.map(({ name, type = "i32" }) => `${name}: ${type}`).join(", ")} }`,
    "@group(0) @binding(0) var<uniform> u: Uniforms;",
    ...bindings.map(
      ({ name, mode, type }, i) =>
        `@group(0) @binding(${i + 1}) var<storage, ${mode === "read" ? "read" : "read_write"}> ${name}: array<${type}>;`,
    ),
    libraryFor(body),
    body,
  ].join("\n");
}

/**
 * The library functions that WGSL text calls, and those these call: `exp_f32`, `log_f32`, `tanh_f32`, `sigmoid_f32`,
 * `erf_f32`, `max_f32` and `min_f32` (NaN wins), `is_nan`, `is_finite`, `to_i32` (saturating), `div_i32` and `rem_i32`
 * (by 0 gives 0), `order_key`, each also for vec4 as `‹name›_x4`; `infinity()` and `not_a_number()`.
 */
export function libraryFor(code: string): string {
  const found = new Set<string>();
  const visit = (text: string): void => {
    for (const [, name] of text.matchAll(/\b([a-z_]+[a-z0-9_]*)\(/g)) {
      const definition = LIBRARY.get(name!);
      if (definition === undefined || found.has(name!)) continue;
      found.add(name!);
      visit(definition);
    }
  };
  visit(code);
  return [...LIBRARY].flatMap(([name, text]) => (found.has(name) ? [text.trim()] : [])).join("\n");
}
