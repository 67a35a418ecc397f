import fc from "fast-check";
import { expect, it } from "vitest";
import { sizeClass } from "./sizes.ts";

it("classes hold what is asked with an eighth of slack, eight to an octave, and are classes of themselves", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 40 }), (bytes) => {
      const size = sizeClass(bytes, { least: 16 });
      expect(size).toBeGreaterThanOrEqual(bytes);
      expect(size).toBeLessThan(bytes * 1.125 + 16);
      expect(size % 16).toBe(0);
      expect(sizeClass(size, { least: 16 })).toBe(size);
    }),
  );
  const octave = Array.from({ length: 1024 }, (_, i) => sizeClass(1025 + i, { least: 1 }));
  expect(new Set(octave).size).toBe(8);
  expect(sizeClass(2 ** 30 + 1, { least: 1, most: 4096 })).toBe(2 ** 30 + 4096);
  expect(sizeClass(0, { least: 64 })).toBe(64);
});
