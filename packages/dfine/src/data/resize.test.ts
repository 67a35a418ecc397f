import fc from "fast-check";
import { expect, test } from "vitest";
import { createImage, type RgbImage, rgbImage } from "./image.ts";
import { resizeBilinear } from "./resize.ts";

const side = fc.integer({ min: 1, max: 40 });

function imageOf(width: number, height: number, seed: number): RgbImage {
  const image = createImage(width, height);
  let state = seed;
  for (let i = 0; i < image.data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    image.data[i] = state >>> 24;
  }
  return image;
}

/** One value of the continuous definition: the triangle filter over both axes at once, in float64, never rounded. */
function exactValue(image: RgbImage, size: readonly [number, number], at: readonly [number, number, number]): number {
  const [x, y, channel] = at;
  const axis = (input: number, output: number, position: number): number[] => {
    const scale = input / output;
    const reach = Math.max(1, scale);
    const centre = (position + 0.5) * scale;
    const raw = Array.from({ length: input }, (_, j) => Math.max(0, 1 - Math.abs(j + 0.5 - centre) / reach));
    const total = raw.reduce((sum, weight) => sum + weight, 0);
    return raw.map((weight) => weight / total);
  };
  const across = axis(image.width, size[0], x);
  const down = axis(image.height, size[1], y);
  let sum = 0;
  for (let j = 0; j < image.height; j++) {
    for (let i = 0; i < image.width; i++)
      sum += down[j]! * across[i]! * image.data[(j * image.width + i) * 3 + channel]!;
  }
  return sum;
}

test("every value is within one level of the float64 triangle filter", () => {
  fc.assert(
    fc.property(side, side, side, side, fc.nat(), (width, height, outWidth, outHeight, seed) => {
      const image = imageOf(width, height, seed);
      const out = resizeBilinear(image, outWidth, outHeight);
      for (let y = 0; y < outHeight; y += 3) {
        for (let x = 0; x < outWidth; x += 3) {
          const channel = (x + y) % 3;
          const actual = out.data[(y * outWidth + x) * 3 + channel]!;
          expect(Math.abs(actual - exactValue(image, [outWidth, outHeight], [x, y, channel]))).toBeLessThan(1.001);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test("the same size is a copy", () => {
  const image = imageOf(13, 7, 1);
  const out = resizeBilinear(image, 13, 7);
  expect(out.data).toEqual(image.data);
  expect(out.data).not.toBe(image.data);
});

test("a constant image stays constant", () => {
  fc.assert(
    fc.property(side, side, side, side, fc.nat(255), (width, height, outWidth, outHeight, value) => {
      const image = rgbImage(width, height, new Uint8Array(width * height * 3).fill(value));
      expect(resizeBilinear(image, outWidth, outHeight).data.every((byte) => byte === value)).toBe(true);
    }),
  );
});

test("transposing before and after changes a value by at most the rounding of the first axis", () => {
  const transpose = ({ width, height, data }: RgbImage): RgbImage => {
    const out = createImage(height, width);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++)
        out.data.set(data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3), (x * height + y) * 3);
    }
    return out;
  };
  fc.assert(
    fc.property(side, side, side, side, fc.nat(), (width, height, outWidth, outHeight, seed) => {
      const image = imageOf(width, height, seed);
      const direct = resizeBilinear(image, outWidth, outHeight).data;
      const turned = transpose(resizeBilinear(transpose(image), outHeight, outWidth)).data;
      direct.forEach((value, i) => {
        expect(Math.abs(value - turned[i]!)).toBeLessThanOrEqual(1);
      });
    }),
  );
});

test("a size that is not a whole number from 1 on is refused", () => {
  const image = imageOf(4, 4, 1);
  expect(() => resizeBilinear(image, 0, 4)).toThrow(RangeError);
  expect(() => resizeBilinear(image, 4, 2.5)).toThrow(/2\.5/);
});
