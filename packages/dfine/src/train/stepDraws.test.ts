import { expect, test } from "vitest";
import { stepDraws } from "./stepDraws.ts";

const names = ["labelMask", "label", "sign", "magnitude"] as const;
const all = (seed: number, step: number) => {
  const draws = stepDraws({ seed, step });
  return names.flatMap((name) => Array.from({ length: 500 }, (_, i) => draws[name](i)));
};

test("draws follow from seed and step alone, and differ between steps, seeds and kinds", () => {
  expect(all(1, 7)).toEqual(all(1, 7));
  const values = [...all(1, 7), ...all(1, 8), ...all(2, 7)];
  expect(new Set(values).size).toBeGreaterThan(values.length - 20);
});

test("draws are uniform and unrelated", () => {
  const values = all(3, 0);
  expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
  // Five standard deviations of a mean of uniforms and of a product of two centred ones.
  for (let kind = 0; kind < 4; kind++) {
    const own = values.slice(kind * 500, (kind + 1) * 500);
    expect(Math.abs(own.reduce((sum, value) => sum + value, 0) / 500 - 0.5)).toBeLessThan(
      (5 * Math.sqrt(1 / 12)) / Math.sqrt(500),
    );
    const next = values.slice(((kind + 1) % 4) * 500, ((kind + 1) % 4) * 500 + 500);
    const product = own.reduce((sum, value, i) => sum + (value - 0.5) * (next[i]! - 0.5), 0) / 500;
    expect(Math.abs(product)).toBeLessThan(5 / 12 / Math.sqrt(500));
  }
});
