import fc from "fast-check";
import { expect, test } from "vitest";
import { createImage } from "../image.ts";
import { flipImage, mirrored } from "./flip.ts";

test("a mirrored box covers the mirrored pixels; twice is nothing", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 30 }), fc.nat(), fc.nat(), (width, a, b) => {
      const left = a % width;
      const right = left + 1 + (b % (width - left));
      const image = createImage(width, 1);
      for (let x = left; x < right; x++) image.data[x * 3] = 255;
      const sample = { image, labels: Int32Array.of(0), boxes: Float32Array.of(left, 0, right, 1) };
      const once = mirrored(sample);
      const [x1, y1, x2, y2] = once.boxes;
      for (let x = 0; x < width; x++) expect(x >= x1! && x < x2!).toBe(once.image.data[x * 3] === 255);
      expect([y1, y2]).toEqual([0, 1]);
      expect(mirrored(once)).toEqual(sample);
    }),
  );
});

test("every channel moves with its pixel", () => {
  const image = createImage(3, 1);
  image.data.set([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect([...flipImage(image).data]).toEqual([7, 8, 9, 4, 5, 6, 1, 2, 3]);
});
