import fc from "fast-check";
import { expect, test } from "vitest";
import { StepCurves } from "./stepCurves.ts";

test("few steps stay as they are", () => {
  const curves = new StepCurves();
  curves.add(1, { a: 1 });
  curves.add(2, { a: Number.NaN, b: null, c: 3 });
  expect(curves.steps).toEqual([1, 2]);
  expect([curves.names, curves.curve("a"), curves.curve("c")]).toEqual([
    ["a", "c"],
    [1, null],
    [null, 3],
  ]);
});

test("many steps become few points that keep their means", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), (count) => {
      const curves = new StepCurves();
      for (let step = 1; step <= count; step++) curves.add(step, { a: 2 * step });
      const { steps } = curves;
      expect(steps.length).toBeLessThanOrEqual(600);
      expect(steps.length).toBeGreaterThanOrEqual(Math.min(count, 300));
      steps.forEach((step, i) => {
        if (i > 0) expect(step).toBeGreaterThan(steps[i - 1]!);
        expect(Math.abs(curves.curve("a")[i]! / (2 * step) - 1)).toBeLessThan(1e-4);
      });
    }),
    { numRuns: 30 },
  );
});
