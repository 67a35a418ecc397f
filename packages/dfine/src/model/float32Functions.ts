// These belong to the library, not to its checks against PyTorch alone: anchors, positions and noisy boxes are made of
// them, so with other last bits a run that goes on would no longer be the run that was saved.

const f32 = Math.fround;
const float = new Float32Array(1);
const word = new Int32Array(float.buffer);

/** 2/3 in float32, as bits: where the mantissa's range begins. */
const LOWEST = 0x3f2aaaab;

/** ln 2 in two parts, of which the first has spare bits: its products with an exponent are exact. */
const LN2_HIGH = f32(0.693145752);
const LN2_LOW = f32(1.42860677e-6);

/** P of ln(1 + r) = r + r² · P(r) for r in −1/3…1/3, the highest power first. */
const LOG_POLYNOMIAL = Float32Array.of(
  -0.12891686,
  0.139844373,
  -0.121842608,
  0.140058696,
  -0.16680488,
  0.200104058,
  -0.249997973,
  0.333332151,
  -0.5,
);

/**
 * Natural logarithm of a positive, normal float32 number as PyTorch's float32 kernels on x86 round it, up to 0.97 units in
 * the last place from the true one. Training depends chaotically on the last bit of constants computed with it. The
 * coefficients were fitted to measured results; they give every one of them for mantissas in 2/3…4/3.
 */
export function logFloat32(x: number): number {
  if (x === Number.POSITIVE_INFINITY) return x;
  float[0] = x;
  const above = word[0]! - LOWEST;
  const exponent = above >> 23;
  word[0] = (above & 0x7fffff) + LOWEST;
  const r = float[0] - 1;
  let p = LOG_POLYNOMIAL[0]!;
  for (let i = 1; i < LOG_POLYNOMIAL.length; i++) p = f32(f32(p * r) + LOG_POLYNOMIAL[i]!);
  const mantissaLog = f32(f32(f32(p * r) * r) + r);
  return f32(exponent * LN2_HIGH + f32(mantissaLog + f32(exponent * LN2_LOW)));
}

/** P of sin r = r + r³ · P(r²) for r in −π/2…π/2, the lowest power first. */
const SINE_POLYNOMIAL = [
  -0.16666659550429619, 0.0083330662461321443, -0.0001980960290535459, 2.6057806446053132e-6,
] as const;

/** sin r for r in −π/2…π/2, negated for an odd number of half turns. */
function halfTurn(r: number, turns: number): number {
  const [a, b, c, d] = SINE_POLYNOMIAL;
  const z = r * r;
  const sine = Math.fround(r + r * z * (((d * z + c) * z + b) * z + a));
  return turns % 2 === 0 ? sine : -sine;
}

/**
 * Sine of a float32 number as PyTorch's float32 kernels on x86 round it, up to 0.6 units in the last place from the true
 * one: a short polynomial in float64, then rounded. Its coefficients were fitted to measured results, of which they miss
 * less than one in a million for angles up to 20.
 */
export function sinFloat32(x: number): number {
  const turns = Math.round(x / Math.PI);
  return halfTurn(x - turns * Math.PI, turns);
}

/** Cosine of a float32 number in the same way. */
export function cosFloat32(x: number): number {
  const turns = Math.round(x / Math.PI + 0.5);
  return halfTurn(x - (turns - 0.5) * Math.PI, turns);
}
