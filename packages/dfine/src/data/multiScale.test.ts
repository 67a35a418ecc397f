import fc from "fast-check";
import { expect, test } from "vitest";
import { drawSize, resizeNearest, trainingScales } from "./multiScale.ts";

test("the official lists for 640 and 320", () => {
  expect(trainingScales(640, 3)).toEqual([480, 512, 544, 576, 608, 640, 640, 640, 800, 768, 736, 704, 672]);
  expect(trainingScales(320, 2)).toEqual([224, 256, 288, 320, 320, 384, 352, 320]);
});

test("the smallest base is its only size", () => {
  expect(trainingScales(32, 2)).toEqual([32, 32]);
});

// With q = base / 128, the ⌈q⌉ steps down from base + 32⌊q⌋ end 32(⌊q⌋ − ⌈q⌉ + 1) above the base.
test("sizes are multiples of 32 near the base, which stands once more where it is no multiple of 128", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 1, max: 30 }), (steps, repeat) => {
      const base = 32 * steps;
      const scales = trainingScales(base, repeat);
      expect(
        scales.every((scale) => scale % 32 === 0 && scale >= 32 && scale >= 0.75 * base - 32 && scale <= 1.25 * base),
      ).toBe(true);
      expect(scales.filter((scale) => scale === base)).toHaveLength(repeat + (base % 128 === 0 ? 0 : 1));
    }),
  );
});

test("both sides change in proportion", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 1, max: 30 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (h, w, draw) => {
        const size = [32 * h, 32 * w] as const;
        const [height, width] = drawSize(size, 2, draw);
        expect([height % 32, width % 32]).toEqual([0, 0]);
        expect(trainingScales(Math.max(...size), 2)).toContain(Math.max(height, width));
        const ratio = Math.max(height, width) / Math.max(...size);
        expect(Math.abs(Math.min(height, width) - ratio * Math.min(...size))).toBeLessThanOrEqual(32);
      },
    ),
  );
});

test("nearest values: each output copies the input that it lies in", () => {
  const side = fc.integer({ min: 1, max: 9 });
  fc.assert(
    fc.property(fc.tuple(side, side), fc.tuple(side, side), (from, to) => {
      const [h, w] = from;
      const [height, width] = to;
      const planes = Float32Array.from({ length: 2 * h * w }, (_, i) => i);
      const out = resizeNearest(planes, from, to);
      for (let plane = 0; plane < 2; plane++)
        for (let y = 0; y < height; y++)
          for (let x = 0; x < width; x++) {
            const source = (plane * h + Math.floor((y * h) / height)) * w + Math.floor((x * w) / width);
            expect(out[(plane * height + y) * width + x]).toBe(source);
          }
    }),
  );
});
