import { constant, type Expr, LN2, POLYNOMIALS, rewrite, type Stage } from "@dfine/tensor/kernel";

/** Products that may be fused with the sum that uses them: those of the polynomials below, where one rounding less only helps. */
const fusable = new WeakSet<Expr>();
export const isFusable = (e: Expr): boolean => fusable.has(e);

function fma(a: Expr, b: Expr | number, c: Expr | number): Expr {
  const product = a.mul(b);
  fusable.add(product);
  return product.add(c);
}

/** Coefficients from the lowest power up. */
function polynomial(x: Expr, coefficients: readonly number[]): Expr {
  return coefficients.slice(0, -1).reduceRight((value: Expr, c) => fma(value, x, c), constant(coefficients.at(-1)!));
}

// Adding 1.5 · 2²³ leaves the rounded integer in the low mantissa bits.
const ROUND = 1.5 * 2 ** 23;
const EXP_OVERFLOWS = Math.log(2) * 128;
/** Below, eˣ is subnormal and flushed to 0. */
const EXP_FLUSHES = -87.33654;
const EXPONENT_BITS = 23;
const EXPONENT_BIAS = 127;
const ONE_BITS = EXPONENT_BIAS << EXPONENT_BITS;
const SQRT_HALF_BITS = 0x3f3504f3;
const SMALLEST_NORMAL = 2 ** -126;

/** e^x = 2ⁿ · e^r; n goes straight into the exponent bits. NaN and ±∞ pass as they should. */
function exp(x: Expr): Expr {
  const shifted = fma(x, Math.LOG2E, ROUND);
  const n = shifted.sub(ROUND);
  const r = fma(n, -LN2.low, fma(n, -LN2.high, x));
  const mantissa = fma(polynomial(r, POLYNOMIALS.exp), r.mul(r), r).add(1);
  const scaled = mantissa.bitcast("i32").add(shifted.bitcast("i32").shl(EXPONENT_BITS)).bitcast("f32");
  const flushed = x.lt(EXP_FLUSHES).select(0, scaled);
  return x.lt(EXP_OVERFLOWS).select(flushed, x.add(Number.POSITIVE_INFINITY));
}

/** ln x = e · ln 2 + ln(1 + f), 1 + f in √½ … √2. Subnormals are scaled up first. */
function log(x: Expr): Expr {
  const tiny = x.lt(SMALLEST_NORMAL);
  const bits = tiny.select(x.mul(2 ** EXPONENT_BITS), x).bitcast("i32");
  const biased = bits.add(ONE_BITS - SQRT_HALF_BITS).shr(EXPONENT_BITS);
  const exponent = biased.sub(tiny.select(constant(EXPONENT_BIAS + EXPONENT_BITS, "i32"), EXPONENT_BIAS)).cast("f32");
  const f = bits.add(ONE_BITS).sub(biased.shl(EXPONENT_BITS)).bitcast("f32").sub(1);
  const square = f.mul(f);
  const tail = fma(square, -0.5, fma(exponent, LN2.low, polynomial(f, POLYNOMIALS.log).mul(f.mul(square))));
  const finite = fma(exponent, LN2.high, f.add(tail));
  const atMostZero = x.eq(0).select(Number.NEGATIVE_INFINITY, Number.NaN);
  return x.gt(0).select(x.lt(Number.POSITIVE_INFINITY).select(finite, x), atMostZero);
}

/** Odd function: near 0 from `small`, elsewhere from `large` of |x| with the sign of x. */
function odd(x: Expr, { limit, small, large }: { limit: number; small: Expr; large: Expr }): Expr {
  return x.abs().lt(limit).select(small, x.lt(0).select(large.neg(), large));
}

const sigmoid = (x: Expr): Expr => constant(1).div(exp(x.neg()).add(1));

function tanh(x: Expr): Expr {
  const square = x.mul(x);
  const small = x.mul(fma(polynomial(square, POLYNOMIALS.tanh), square, 1));
  const large = constant(1).sub(constant(2).div(exp(x.abs().mul(2)).add(1)));
  return odd(x, { limit: 0.625, small, large });
}

function erf(x: Expr): Expr {
  const t = x.abs().min(4);
  const small = fma(polynomial(x.mul(x), POLYNOMIALS.erfSmall), x, x);
  const large = constant(1).sub(exp(t.mul(polynomial(t, POLYNOMIALS.erfLarge))));
  return odd(x, { limit: 0.875, small, large });
}

const LOWERED = { exp, log, sigmoid, tanh, erf };
/** Operations that no instruction computes. */
export type LoweredOp = keyof typeof LOWERED;

/** Transcendental functions as arithmetic, so that they run in vectors. */
export const lower = (e: Expr): Expr =>
  rewrite(e, (node) => (node.op in LOWERED ? LOWERED[node.op as LoweredOp](node.args[0]!) : undefined));

export function lowerStage(stage: Stage): Stage {
  if (stage.kind === "reduce") return { ...stage, expr: lower(stage.expr) };
  const writes = stage.writes.map((write) => ({
    ...write,
    expr: lower(write.expr),
    ...(write.index ? { index: lower(write.index) } : {}),
  }));
  return { ...stage, writes };
}
