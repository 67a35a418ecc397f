/**
 * Polynomials with which backends compute transcendental functions in float32. Coefficients from the lowest power up;
 * minimax fits (Remez exchange, 40 digits). Errors are those of the fits before rounding.
 */
export const POLYNOMIALS = {
  /** (eʳ − 1 − r) / r² on |r| ≤ ln 2 / 2: eʳ within 1.1e-8. */
  exp: [0.5000000027, 0.1666657697, 0.04166637513, 0.008363181238, 0.001394112402],
  /** (ln(1 + f) − f + f²/2) / f³ on √½ − 1 … √2 − 1: ln within 2.6e-8. */
  log: [
    0.3333332653, -0.2500028104, 0.2000188131, -0.1664347796, 0.1419018895, -0.1294351977, 0.1279933122, -0.08305545625,
  ],
  /** (tanh x / x − 1) / x² in x² on |x| ≤ 0.625: within 4.2e-9. */
  tanh: [-0.3333328393, 0.1333149129, -0.0537434982, 0.02065058757, -0.005717045282],
  /** erf x / x − 1 in x² on |x| ≤ 0.875: within 8.6e-9. */
  erfSmall: [0.1283791585, -0.3761255715, 0.1128252418, -0.02679395489, 0.005035872196, -0.0006222422869],
  /** ln(erfc t) / t on 0.875 … 4: erf within 1.1e-9. */
  erfLarge: [
    -1.128622907, -0.6352568848, -0.1060596308, 0.02360721297, -0.003568269332, 0.0003043317769, -9.364675968e-6,
  ],
} as const satisfies Readonly<Record<string, readonly number[]>>;

const LN2_HIGH = 355 / 512;

/** ln 2 in two parts; `high` has 9 bits, so its product with an exponent is exact in float32. */
export const LN2 = { high: LN2_HIGH, low: Math.LN2 - LN2_HIGH } as const;
