import type { TypedArray } from "../dtype.ts";

/** Rounding unit of float32. */
const EPSILON = 2 ** -24;
/** Smallest normal float32: a backend may flush what is below. */
const TINY = 2 ** -126;

/** Allowed difference per element. */
export type Tolerance = (element: number) => number;

export interface Loss {
  /** Results for inputs moved by a random relative ±`step`, in float64. */
  readonly moved: readonly TypedArray[];
  readonly step: number;
  /** The result of the float32 reference. */
  readonly rounded: TypedArray;
}

/**
 * What float32 may lose in an element: 8 ε times the result and times what it moves when inputs move by a relative 1
 * (conditioning and sums), and 4 times the float32 reference's own error (cancellation inside an expression). Both are seen
 * in few draws and may be small by chance: an element gets at least what all but one in a hundred elements keep to, as long as the largest
 * own error of the output explains it. Where the reference overflows, its error says nothing and counts as none.
 */
export function roundingTolerance(expected: TypedArray, { moved, step, rounded }: Loss): Tolerance {
  const own = Float64Array.from(expected, (value, i) => 4 * finiteOr0(Math.abs(rounded[i]! - value)));
  const conditioning = Float64Array.from(expected, (value, i) => {
    const swing = Math.max(0, ...moved.map((array) => finiteOr0(Math.abs(array[i]! - value) / step)));
    return 8 * EPSILON * (finiteOr0(Math.abs(value)) + swing);
  });
  const largest = own.reduce((a, b) => Math.max(a, b), 0);
  const usual = (losses: Float64Array): number => losses.slice().sort()[Math.floor(0.99 * losses.length)] ?? 0;
  const [usualOwn, usualConditioning] = [usual(own), usual(conditioning)];
  return (i) => {
    const loss = Math.max(own[i]!, usualOwn) + Math.max(conditioning[i]!, usualConditioning);
    return Math.min(loss, conditioning[i]! + largest) + TINY;
  };
}

const finiteOr0 = (x: number): number => (Number.isFinite(x) ? x : 0);

/** Throws at the first element that differs by more than allowed; NaN and infinities must match exactly. */
export function assertClose(
  what: string,
  actual: TypedArray,
  expected: TypedArray,
  options: { tolerance: Tolerance; orElse?: TypedArray },
): void {
  if (actual.length !== expected.length)
    throw new Error(`${what}: ${actual.length} elements, expected ${expected.length}`);
  for (let i = 0; i < actual.length; i++) {
    const fits = (want: number): boolean =>
      Object.is(actual[i], want) || actual[i] === want || Math.abs(actual[i]! - want) <= options.tolerance(i);
    if (fits(expected[i]!) || (options.orElse && fits(options.orElse[i]!))) continue;
    throw new Error(`${what}: element ${i} is ${actual[i]}, expected ${expected[i]} ± ${options.tolerance(i)}`);
  }
}

/** Throws unless both arrays hold the same bits (NaN equals NaN). */
export function assertSame(what: string, actual: TypedArray, expected: TypedArray): void {
  if (actual.length !== expected.length)
    throw new Error(`${what}: ${actual.length} elements, expected ${expected.length}`);
  const at = expected.findIndex((value, i) => !Object.is(value, actual[i]));
  if (at >= 0) throw new Error(`${what}: element ${at} is ${actual[at]}, expected exactly ${expected[at]}`);
}
