import { expect } from "vitest";

/** Deterministic float32 numbers in −1…1. */
export function numbers(length: number, seed = 1): Float32Array {
  let state = (seed * 2654435761) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * 0.999;
  });
}

/** What sums should be, and how large the terms were that made them. */
export interface Oracle {
  readonly values: ArrayLike<number>;
  /** The same sums over absolute values: rounding is measured against these. */
  readonly magnitudes: ArrayLike<number>;
}

/** Sums that are still 0. */
export const zeroSums = (length: number): { values: number[]; magnitudes: number[] } => ({
  values: new Array<number>(length).fill(0),
  magnitudes: new Array<number>(length).fill(0),
});

const EPSILON = 2 ** -23;

/** Every element within 8 ε of its magnitude; NaN and infinities as they should be. */
export function expectClose(actual: ArrayLike<number>, { values, magnitudes }: Oracle, what = "result"): void {
  expect(actual.length).toBe(values.length);
  for (let i = 0; i < values.length; i++) {
    const [got, want, allowed] = [actual[i]!, values[i]!, 8 * EPSILON * magnitudes[i]!];
    if (Object.is(got, want) || Math.abs(got - want) <= allowed) continue;
    expect.fail(`${what}, element ${i} of ${values.length}: ${got}, expected ${want} ± ${allowed}`);
  }
}

/** The results of a backend, of which there must be some. */
export function atLeastOne<T>(results: readonly T[]): readonly T[] {
  expect(results.length).toBeGreaterThan(0);
  return results;
}
