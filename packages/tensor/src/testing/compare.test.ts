import { describe, expect, it } from "vitest";
import { Random } from "../random.ts";
import { roundingTolerance } from "./compare.ts";

const EPSILON = 2 ** -24;
const step = 1e-6;

describe("tolerance", () => {
  it("stays finite, and as narrow as elsewhere, where the float32 reference overflows in one element", () => {
    const exact = Float64Array.of(1e39, 1, 2, 3);
    const single = Float32Array.of(Number.POSITIVE_INFINITY, 1, 2, 3);
    const tolerance = roundingTolerance(exact, { moved: [{ exact, single }], step, terms: 0 });
    for (const [i, value] of [1, 2, 3].entries()) expect(tolerance(i + 1)).toBeCloseTo(8 * EPSILON * value, 12);
  });

  it("grants an element the largest of its own errors, and nothing of another's", () => {
    const exact = new Float64Array(20).fill(1);
    const off = (by: number) => exact.map((value, i) => (i === 0 ? value + by : value));
    const moved = [0, 0.25, -0.125].map((by) => ({ exact, single: off(by) }));
    const tolerance = roundingTolerance(exact, { moved, step, terms: 0 });
    expect(tolerance(0)).toBeCloseTo(1, 5);
    expect(tolerance(1)).toBeCloseTo(8 * EPSILON, 12);
  });

  it("grows with what an element moves when inputs move", () => {
    const expected = new Float64Array(20).fill(1);
    const exact = expected.map((value, i) => (i === 0 ? value + 100 * step : value));
    const tolerance = roundingTolerance(expected, { moved: [{ exact, single: exact }], step, terms: 0 });
    expect(tolerance(0) / tolerance(1)).toBeCloseTo(101, 3);
  });

  it("holds for sums of float32, one term after another, and not for terms of 16 bits", () => {
    const random = new Random(5);
    for (const terms of [16, 128, 1024]) {
      const drawn = Array.from({ length: 50 }, () =>
        Float64Array.from({ length: terms }, () => Math.fround(random.uniform() * 2 - 1)),
      );
      const sums = (values: (row: Float64Array) => Float64Array, round: (x: number) => number): Float64Array =>
        Float64Array.from(drawn, (row) => values(row).reduce((sum, x) => round(sum + x), 0));
      const expected = sums(
        (row) => row,
        (x) => x,
      );
      const moved = Array.from({ length: 8 }, () => {
        const exact = sums(
          (row) => row.map((x) => x * (1 + (random.uniform() < 0.5 ? step : -step))),
          (x) => x,
        );
        return { exact, single: exact.map(Math.fround) };
      });
      const tolerance = roundingTolerance(expected, { moved, step, terms });
      const actual = sums((row) => row, Math.fround);
      for (const [i, value] of actual.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(tolerance(i));
      const half = sums((row) => row.map((x) => Math.round(x * 2 ** 15) / 2 ** 15), Math.fround);
      expect(half.some((value, i) => Math.abs(value - expected[i]!) > tolerance(i))).toBe(true);
    }
  });
});
