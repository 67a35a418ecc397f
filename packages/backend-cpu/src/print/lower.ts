import { constant, type Expr, rewrite, type Stage } from "@dfine/tensor";

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

// Minimax fits (Remez exchange, 40 digits). Relative or absolute error is that of the fit before rounding.
/** (eʳ − 1 − r) / r² on |r| ≤ ln 2 / 2: eʳ within 1.1e-8. */
const EXP = [0.5000000027, 0.1666657697, 0.04166637513, 0.008363181238, 0.001394112402];
/** (ln(1 + f) − f + f²/2) / f³ on √½ − 1 … √2 − 1: ln within 2.6e-8. */
const LOG = [
  0.3333332653, -0.2500028104, 0.2000188131, -0.1664347796, 0.1419018895, -0.1294351977, 0.1279933122, -0.08305545625,
];
/** (tanh x / x − 1) / x² in x² on |x| ≤ 0.625: within 4.2e-9. */
const TANH = [-0.3333328393, 0.1333149129, -0.0537434982, 0.02065058757, -0.005717045282];
/** erf x / x − 1 in x² on |x| ≤ 0.875: within 8.6e-9. */
const ERF_SMALL = [0.1283791585, -0.3761255715, 0.1128252418, -0.02679395489, 0.005035872196, -0.0006222422869];
/** ln(erfc t) / t on 0.875 … 4: erf within 1.1e-9. */
const ERF_LARGE = [
  -1.128622907, -0.6352568848, -0.1060596308, 0.02360721297, -0.003568269332, 0.0003043317769, -9.364675968e-6,
];

// ln 2 in two parts; the first has 9 bits, so its product with an exponent is exact.
const LN2_HIGH = 355 / 512;
const LN2_LOW = Math.LN2 - LN2_HIGH;
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
  const r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x));
  const mantissa = fma(polynomial(r, EXP), r.mul(r), r).add(1);
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
  const tail = fma(square, -0.5, fma(exponent, LN2_LOW, polynomial(f, LOG).mul(f.mul(square))));
  const finite = fma(exponent, LN2_HIGH, f.add(tail));
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
  const small = x.mul(fma(polynomial(square, TANH), square, 1));
  const large = constant(1).sub(constant(2).div(exp(x.abs().mul(2)).add(1)));
  return odd(x, { limit: 0.625, small, large });
}

function erf(x: Expr): Expr {
  const t = x.abs().min(4);
  const small = fma(polynomial(x.mul(x), ERF_SMALL), x, x);
  const large = constant(1).sub(exp(t.mul(polynomial(t, ERF_LARGE))));
  return odd(x, { limit: 0.875, small, large });
}

const LOWERED: Readonly<Partial<Record<Expr["op"], (x: Expr) => Expr>>> = { exp, log, sigmoid, tanh, erf };

/** Transcendental functions as arithmetic, so that they run in vectors. */
export const lower = (e: Expr): Expr => rewrite(e, (node) => LOWERED[node.op]?.(node.args[0]!));

export function lowerStage(stage: Stage): Stage {
  switch (stage.kind) {
    case "reduce":
      return { ...stage, expr: lower(stage.expr) };
    case "store":
      return { ...stage, writes: stage.writes.map(({ operand, expr }) => ({ operand, expr: lower(expr) })) };
    case "scatter":
      return { ...stage, index: lower(stage.index), expr: lower(stage.expr) };
    default:
      stage satisfies never;
      throw new Error("unreachable: unknown stage");
  }
}
