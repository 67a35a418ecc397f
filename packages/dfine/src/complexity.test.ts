import { expect, test } from "vitest";
import { complexityOf } from "./complexity.ts";
import { presetConfig } from "./config/presets.ts";

/** Deploy forms for 80 classes at 640: parameters exactly, 2·MACs in 10⁹ to the digits that are known. docs/specification.md §2. */
const KNOWN = {
  n: [3_753_799, 7.33],
  s: [10_237_491, 25.5],
  m: [19_248_189, 57.1],
  l: [30_724_195, 91.7],
  x: [61_601_635, 203.1],
} as const;

test.each(Object.entries(KNOWN))("%s: as counted from the official code", (preset, [parameters, gflops]) => {
  const found = complexityOf(presetConfig(preset as keyof typeof KNOWN, "coco").model);
  expect(found.parameters).toBe(parameters);
  expect(Math.abs(found.gflops / gflops - 1)).toBeLessThan(0.005);
});
