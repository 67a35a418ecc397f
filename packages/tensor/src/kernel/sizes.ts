/** The least multiple of `step` that is not below `n`. */
export const roundUp = (n: number, step: number): number => Math.ceil(n / step) * step;

const CLASSES_PER_OCTAVE = 8;

/**
 * Bytes to take for `bytes`: eight classes per octave, at most 12.5 % more than asked, so that near-equal sizes, such as those
 * of changing query counts, share blocks. Classes lie `least` to `most` bytes apart.
 */
export function sizeClass(bytes: number, { least, most = Number.POSITIVE_INFINITY }: { least: number; most?: number }) {
  const size = Math.max(bytes, 1);
  const step = 2 ** Math.floor(Math.log2(size)) / CLASSES_PER_OCTAVE;
  return roundUp(size, Math.min(Math.max(step, least), most));
}
