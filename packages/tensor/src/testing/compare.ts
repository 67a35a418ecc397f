import type { TypedArray } from "../dtype.ts";

/** Rounding unit of float32. */
const EPSILON = 2 ** -24;
/** Smallest normal float32: a backend may flush what is below. */
const TINY = 2 ** -126;

/** Allowed difference per element. */
export type Tolerance = (element: number) => number;

/** What shows how much float32 may lose in a result. */
export interface Loss {
  /** Results in float64 and in float32, both for inputs moved by the same random relative ±`step`. */
  readonly moved: readonly { readonly exact: TypedArray; readonly single: TypedArray }[];
  readonly step: number;
  /** Terms of the longest sum. */
  readonly terms: number;
}

/** Terms that a backend adds one after another at most; longer sums are made in blocks. */
const BLOCK = 1024;

/**
 * What float32 may lose in an element, to first order: ε times what it would move if every rounded number moved by a relative 1.
 *
 * - Its scale is the result, and the most that it moves when inputs do: 8 ε of it, a few roundings of the inputs and the result.
 * - n terms of size t, added one after another, make partial sums of √1·t … √n·t where signs are mixed, each rounded by
 *   ε/√3 (a standard deviation): together ε·√n·t·√(n/6). The scale holds √n·t, and usually twice that: 2·√(n/6) ε of it
 *   are four standard deviations. Added to the 8 ε as independent errors are, by their squares: √(64 + 2n/3) ε.
 * - The rest, above all cancellation inside an expression, is another draw of what the float32 reference, whose sums are exact,
 *   loses: 4 times the largest of 12 draws, which one draw in 100,000 exceeds (if normal). A result may be right by chance,
 *   but not at 12 places. Where the reference overflows, its error says nothing and counts as none.
 */
export function roundingTolerance(expected: TypedArray, { moved, step, terms }: Loss): Tolerance {
  const share = EPSILON * Math.sqrt(64 + (2 / 3) * Math.min(terms, BLOCK));
  return (i) => {
    const largest = (sizes: readonly number[]): number => Math.max(0, ...sizes.map(finiteOr0));
    const swing = largest(moved.map(({ exact }) => Math.abs(exact[i]! - expected[i]!) / step));
    const own = largest(moved.map(({ exact, single }) => Math.abs(single[i]! - exact[i]!)));
    return share * (finiteOr0(Math.abs(expected[i]!)) + swing) + 4 * own + TINY;
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
