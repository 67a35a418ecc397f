import fc from "fast-check";
import { expect, test } from "vitest";
import { cosFloat32, logFloat32, sinFloat32 } from "./float32Functions.ts";

const f32 = Math.fround;

/** Distance of two numbers in units of the last place of the first. */
const units = (value: number, other: number) =>
  Math.abs(value - other) / 2 ** (Math.max(-126, Math.floor(Math.log2(Math.abs(value)))) - 23);

test("the logarithm lies within one unit in the last place, and is a float32 number", () => {
  fc.assert(
    fc.property(fc.float({ min: f32(1e-30), max: f32(1e30), noNaN: true }), (x) => {
      const y = logFloat32(x);
      expect(f32(y)).toBe(y);
      if (x !== 1) expect(units(Math.log(x), y)).toBeLessThan(1);
    }),
    { numRuns: 2000 },
  );
  expect(logFloat32(1)).toBe(0);
});

test("sine and cosine lie within one unit in the last place, and are float32 numbers", () => {
  fc.assert(
    fc.property(fc.float({ min: 0, max: 20, noNaN: true }), (x) => {
      for (const [found, exact] of [
        [sinFloat32(x), Math.sin(x)],
        [cosFloat32(x), Math.cos(x)],
      ] as const) {
        expect(f32(found)).toBe(found);
        // Near a zero the rounding of x − nπ to float64 counts.
        expect(Math.abs(found - exact)).toBeLessThanOrEqual(2 ** -23 * Math.abs(exact) + 1e-14);
      }
    }),
    { numRuns: 2000 },
  );
  expect([sinFloat32(0), cosFloat32(0)]).toEqual([0, 1]);
});

test("they round as PyTorch does where the nearest float32 number is another one", () => {
  // The reference pack's predictions show these two in PyTorch's anchors, one unit above the nearest number.
  for (const [ratio, unit] of [
    [7, 2 ** -23],
    [f32(0.625 / 0.375), 2 ** -24],
  ] as const)
    expect(logFloat32(ratio)).toBe(f32(Math.log(ratio)) + unit);
  // Measured on PyTorch's vector library: neighbours of the nearest numbers.
  expect(cosFloat32(1)).not.toBe(f32(Math.cos(1)));
  expect(sinFloat32(f32(0.400000006))).not.toBe(f32(Math.sin(f32(0.400000006))));
});
