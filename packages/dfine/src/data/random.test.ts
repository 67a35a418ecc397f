import fc from "fast-check";
import { expect, test } from "vitest";
import { randomBelow, randomBits, randomPermutation, streamKey } from "./random.ts";

test("a permutation holds every number once", () => {
  fc.assert(
    fc.property(fc.nat(300), fc.nat(), (length, seed) => {
      const sorted = [...randomPermutation(length, streamKey(seed))].sort((a, b) => a - b);
      expect(sorted).toEqual(Array.from({ length }, (_, i) => i));
    }),
  );
});

test("all orders of four are about equally frequent", () => {
  const counts = new Map<string, number>();
  for (let seed = 0; seed < 24_000; seed++) {
    const order = randomPermutation(4, streamKey(seed)).join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  // Chi-squared with 23 degrees of freedom: 49.7 is passed once in a thousand.
  const statistic = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
  expect(counts.size).toBe(24);
  expect(statistic).toBeLessThan(49.7);
});

test("every bit is set half of the time, and neighbouring streams and counters are unrelated", () => {
  const samples = 20_000;
  const ones = new Float64Array(32);
  const sameAsNextCounter = new Float64Array(32);
  const sameAsNextStream = new Float64Array(32);
  for (let i = 0; i < samples; i++) {
    const bits = randomBits(streamKey(7), i);
    const counter = ~(bits ^ randomBits(streamKey(7), i + 1));
    const stream = ~(bits ^ randomBits(streamKey(8), i));
    for (let bit = 0; bit < 32; bit++) {
      ones[bit]! += (bits >>> bit) & 1;
      sameAsNextCounter[bit]! += (counter >>> bit) & 1;
      sameAsNextStream[bit]! += (stream >>> bit) & 1;
    }
  }
  // Five standard deviations of a fair coin over 20 000 throws.
  const allowed = 5 * Math.sqrt(samples / 4);
  for (const counts of [ones, sameAsNextCounter, sameAsNextStream]) {
    for (const count of counts) expect(Math.abs(count - samples / 2)).toBeLessThan(allowed);
  }
});

test("parts of a stream's key count by value and place, above 32 bits too", () => {
  expect(
    new Set([streamKey(1, 2), streamKey(2, 1), streamKey(1), streamKey(1, 2, 0), streamKey(2 ** 32 + 1, 2)]).size,
  ).toBe(5);
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat(), fc.integer({ min: 1, max: 2 ** 21 }), (seed, counter, limit) => {
      const drawn = randomBelow(limit, streamKey(seed), counter);
      expect(drawn >= 0 && drawn < limit && Number.isInteger(drawn)).toBe(true);
    }),
  );
});
