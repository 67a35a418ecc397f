import { describe, expect, it } from "vitest";
import { roundingTolerance } from "./compare.ts";

const EPSILON = 2 ** -24;
const step = 1e-6;

describe("tolerance", () => {
  it("stays finite, and as narrow as elsewhere, where the float32 reference overflows in one element", () => {
    const expected = Float64Array.of(1e39, 1, 2, 3);
    const rounded = Float32Array.of(Number.POSITIVE_INFINITY, 1, 2, 3);
    const tolerance = roundingTolerance(expected, { moved: [expected], step, rounded });
    for (const [i, value] of [1, 2, 3].entries()) expect(tolerance(i + 1)).toBeCloseTo(8 * EPSILON * value, 12);
  });

  it("grants an element its own error, and of another one's no more than fits its scale", () => {
    const expected = new Float64Array(20).fill(1);
    const rounded = Float64Array.from(expected, (value, i) => (i === 0 ? 1.25 : value));
    const tolerance = roundingTolerance(expected, { moved: [expected], step, rounded });
    expect(tolerance(0)).toBeCloseTo(1, 5);
    expect(tolerance(1)).toBeLessThan(1e-3);
  });

  it("grows with what an element moves when inputs move", () => {
    const expected = new Float64Array(20).fill(1);
    const moved = [Float64Array.from(expected, (value, i) => (i === 0 ? value + 100 * step : value))];
    const tolerance = roundingTolerance(expected, { moved, step, rounded: expected });
    expect(tolerance(0) / tolerance(1)).toBeCloseTo(101, 3);
  });
});
