/**
 * Counter-based random numbers for the data pipeline: a draw is a function of its stream and its position alone, so it
 * does not depend on the order in which images happen to be read.
 */

/** A stream for the given parts, such as (seed, epoch, purpose); each part counts with 53 bits. */
export function streamKey(...parts: number[]): number {
  let key = 0x243f6a88;
  for (const part of parts) {
    key = mix(key ^ (part >>> 0));
    key = mix(key + Math.floor(part / 0x100000000));
  }
  return key;
}

/** 32 random bits, the `counter`-th of stream `key`. */
export function randomBits(key: number, counter: number): number {
  return mix((mix(counter + 0x9e3779b9) ^ key) + 0x7f4a7c15);
}

/** A whole number in [0, limit), the `counter`-th of stream `key`; limit is at most 2^21, so that the bias stays under 1/2000. */
export function randomBelow(limit: number, key: number, counter: number): number {
  return Math.floor((randomBits(key, counter) / 0x100000000) * limit);
}

/** The numbers 0 … length - 1 in the order drawn by stream `key`. */
export function randomPermutation(length: number, key: number): Uint32Array {
  const order = Uint32Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = randomBelow(i + 1, key, i);
    const held = order[i]!;
    order[i] = order[j]!;
    order[j] = held;
  }
  return order;
}

/** Mixes all 32 bits: two multiplications between three shifts, one-to-one. */
function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}
