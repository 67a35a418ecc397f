import fc from "fast-check";
import { expect, test } from "vitest";
import { logFloat32 } from "./logFloat32.ts";

const f32 = Math.fround;

test("is the logarithm to a few float32 units, and a float32 number", () => {
  fc.assert(
    fc.property(fc.float({ min: f32(1e-30), max: f32(1e30), noNaN: true }), (x) => {
      const y = logFloat32(x);
      expect(f32(y)).toBe(y);
      // ln 2 in float32 errs by 2 units of 2^-27 per power of two; the rest is two roundings.
      const allowed = Math.abs(Math.log2(x)) * 2 ** -27 + (Math.abs(Math.log(x)) + 0.35) * 2 ** -24;
      expect(Math.abs(y - Math.log(x))).toBeLessThanOrEqual(allowed);
    }),
  );
  expect(logFloat32(1)).toBe(0);
});

test("rounds as PyTorch does where the nearest float32 number is another one", () => {
  // ln 7 = 1.94591014905…: PyTorch's anchors hold the upper neighbour, 0.0663e-6 away, not the lower, 0.0529e-6 away.
  expect(logFloat32(7)).toBe(f32(1.9459102153778076));
  expect(f32(Math.log(7))).toBe(f32(1.945910096168518));
});
