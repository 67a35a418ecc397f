import { Random } from "@dfine/tensor";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Initializer, initialValues, kaimingUniform, normalInit, uniformInit, xavierUniform } from "./init.ts";

const draw = (init: Initializer, shape: number[]) => initialValues(init, { shape, random: new Random(1) });

describe("initialisers", () => {
  test.for<[string, Initializer, number[], number]>([
    ["kaimingUniform of a linear layer", kaimingUniform, [60, 50], 1 / Math.sqrt(50)],
    ["kaimingUniform of a depthwise convolution", kaimingUniform, [400, 1, 3, 3], 1 / 3],
    ["xavierUniform", xavierUniform, [60, 40], Math.sqrt(6 / 100)],
    ["xavierUniform of a convolution", xavierUniform, [20, 10, 3, 3], Math.sqrt(6 / 270)],
    ["uniformInit", uniformInit(0.25), [3000], 0.25],
  ])("%s fills its range evenly", ([, init, shape, bound]) => {
    const values = [...draw(init, shape)];
    const n = values.length;
    expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(Math.fround(bound));
    expect(Math.max(...values)).toBeGreaterThan(0.98 * bound);
    expect(Math.min(...values)).toBeLessThan(-0.98 * bound);
    // Mean 0 and variance bound²/3, within five standard errors.
    expect(Math.abs(values.reduce((a, b) => a + b) / n)).toBeLessThan((5 * bound) / Math.sqrt(3 * n));
    const variance = values.reduce((sum, v) => sum + v * v, 0) / n;
    expect(Math.abs(variance / (bound ** 2 / 3) - 1)).toBeLessThan(5 / Math.sqrt(n));
  });

  test("normalInit has its standard deviation", () => {
    const values = draw(normalInit(0.5), [100, 50]);
    const n = values.length;
    expect(Math.abs(values.reduce((a, b) => a + b) / n)).toBeLessThan((5 * 0.5) / Math.sqrt(n));
    expect(Math.abs(values.reduce((sum, v) => sum + v * v, 0) / n / 0.25 - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
  });

  test("a number fills", () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (value) => {
        expect([...draw(value, [2, 2])]).toEqual([value, value, value, value]);
      }),
    );
  });
});
