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

/** Share of its scale that an element may take from the largest error of its output: half of float32's bits. */
const BORROWED = 2 ** -12;

/**
 * What float32 may lose in an element. Its scale is the result, and what that moves when inputs move by a relative 1
 * (conditioning and sums): 8 ε of it, and 4 times the float32 reference's own error there (cancellation inside an expression).
 * An element may be right by chance where others are not, so the output's largest own error counts too, as far as the
 * element's scale allows. Where the reference overflows, its error says nothing and counts as none.
 */
export function roundingTolerance(expected: TypedArray, { moved, step, rounded }: Loss): Tolerance {
  const own = Float64Array.from(expected, (value, i) => finiteOr0(Math.abs(rounded[i]! - value)));
  const largest = own.reduce((a, b) => Math.max(a, b), 0);
  return (i) => {
    const swing = Math.max(0, ...moved.map((array) => finiteOr0(Math.abs(array[i]! - expected[i]!) / step)));
    const scale = finiteOr0(Math.abs(expected[i]!)) + swing;
    return 8 * EPSILON * scale + 4 * Math.max(own[i]!, Math.min(largest, BORROWED * scale)) + TINY;
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
