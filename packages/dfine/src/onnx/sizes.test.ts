import fc from "fast-check";
import { expect, test } from "vitest";
import { fixed, growthOf, isFixed, together } from "./sizes.ts";

/** Sizes of four runs, of which run i + 1 changes axis i alone. */
const axesOf = (sizes: readonly number[], steps: readonly number[]) =>
  sizes.map((size, axis) => [size, ...steps.map((step, i) => (i === axis ? size + step : size))]);

test("a size that is a product of the images' sizes is found as such", () => {
  const side = fc.integer({ min: 1, max: 64 }).map((n) => 32 * n);
  const power = fc.integer({ min: 0, max: 2 });
  fc.assert(
    fc.property(
      fc.tuple(fc.integer({ min: 2, max: 9 }), side, side),
      fc.tuple(power, power, power),
      (sizes, powers) => {
        const axes = axesOf(sizes, [1, 32, 32]);
        const size = axes[0]!.map(
          (_, run) => 3 * axes.reduce((product, axis, i) => product * axis[run]! ** powers[i]!, 1),
        );
        expect(growthOf(size, axes)).toEqual({ start: size[0], powers });
      },
    ),
  );
});

test("a size that is none is refused", () => {
  const axes = axesOf([2, 320, 320], [1, 32, 32]);
  const [batch, height] = axes as [number[], number[]];
  expect(() =>
    growthOf(
      height.map((n) => n + 1),
      axes,
    ),
  ).toThrow(/of 321, 321, 353, 321 .* is no product/);
  expect(() =>
    growthOf(
      height.map((n, run) => n + batch[run]!),
      axes,
    ),
  ).toThrow(/no product/);
});

test("data of several runs is one, with each number as it was in each of them", () => {
  const told = together([
    { kind: "a", list: [1, 2] },
    { kind: "a", list: [1, 3] },
  ]);
  expect(told).toEqual({
    kind: "a",
    list: [
      [1, 1],
      [2, 3],
    ],
  });
  expect(isFixed(told.list[0]!)).toBe(true);
  expect(fixed(told.list[0]!)).toBe(1);
  expect(() => fixed(told.list[1]!)).toThrow(/was 2, 3/);
  expect(() => together([{ kind: "a" }, { kind: "b" }])).toThrow(/computes otherwise/);
  expect(() => together([[1], [1, 2]])).toThrow(/computes otherwise/);
});
