type Numbers = ArrayLike<number>;

const difference = (actual: number, expected: number): number => {
  if (Object.is(actual, expected)) return 0;
  const error = Math.abs(actual - expected);
  return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
};

function worst(actual: Numbers, expected: Numbers, error: (a: number, e: number) => number): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) largest = Math.max(largest, error(actual[i]!, expected[i]!));
  return largest;
}

/** Largest |a − e|; infinite where lengths differ or only one side is NaN. */
export const absoluteError = (actual: Numbers, expected: Numbers): number => worst(actual, expected, difference);

/** Largest |a − e| / (1 + |e|): an allowance that is absolute plus relative. */
export const unitError = (actual: Numbers, expected: Numbers): number =>
  worst(actual, expected, (a, e) => difference(a, e) / (1 + Math.abs(e)));

/** Largest |a − e| / max(|e|, floor). */
export const relativeError = (actual: Numbers, expected: Numbers, floor: number): number =>
  worst(actual, expected, (a, e) => difference(a, e) / Math.max(Math.abs(e), floor));

/** ‖a − e‖ / ‖e‖ */
export function normError(actual: Numbers, expected: Numbers): number {
  let off = 0;
  let whole = 0;
  for (let i = 0; i < expected.length; i++) {
    off += difference(actual[i] ?? Number.NaN, expected[i]!) ** 2;
    whole += expected[i]! ** 2;
  }
  return Math.sqrt(off / whole);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
