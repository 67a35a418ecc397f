import fc from "fast-check";
import { expect, test } from "vitest";
import { adjustBrightness, adjustContrast, adjustHue, adjustSaturation } from "./color.ts";
import { type RgbImage, rgbImage } from "./image.ts";

const image = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }))
  .chain(([width, height]) =>
    fc
      .uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 })
      .map((data) => rgbImage(width, height, data)),
  );
const operations = { adjustBrightness, adjustContrast, adjustSaturation };

/** The textbook conversion in float64, without bytes in between. */
function hsv(red: number, green: number, blue: number): [number, number, number] {
  const max = Math.max(red, green, blue);
  const range = max - Math.min(red, green, blue);
  if (range === 0) return [0, 0, max];
  const sector =
    max === red
      ? ((green - blue) / range + 6) % 6
      : max === green
        ? (blue - red) / range + 2
        : (red - green) / range + 4;
  return [sector / 6, range / max, max];
}

function rgbOf(hue: number, saturation: number, value: number): [number, number, number] {
  const channel = (n: number) => {
    const k = (n + hue * 6) % 6;
    return value - value * saturation * Math.max(0, Math.min(k, 4 - k, 1));
  };
  return [channel(5), channel(3), channel(1)];
}

test.each(Object.entries(operations))("%s by 1 changes nothing", (_, operation) => {
  fc.assert(
    fc.property(image, (input) => {
      expect(operation(input, 1).data).toEqual(input.data);
    }),
  );
});

test("brightness is the clamped, truncated product", () => {
  fc.assert(
    fc.property(image, fc.integer({ min: 0, max: 64 }), (input, sixteenths) => {
      const out = adjustBrightness(input, sixteenths / 16);
      input.data.forEach((value, i) => {
        expect(out.data[i]).toBe(Math.min(255, Math.floor((value * sixteenths) / 16)));
      });
    }),
  );
});

test("contrast 0 and saturation 0 leave only grey", () => {
  fc.assert(
    fc.property(image, (input) => {
      expect(new Set(adjustContrast(input, 0).data).size).toBe(1);
      const grey = adjustSaturation(input, 0).data;
      for (let i = 0; i < grey.length; i += 3) {
        const luminance = 0.299 * input.data[i]! + 0.587 * input.data[i + 1]! + 0.114 * input.data[i + 2]!;
        expect([grey[i + 1], grey[i + 2]]).toEqual([grey[i], grey[i]]);
        expect(Math.abs(grey[i]! - luminance)).toBeLessThanOrEqual(0.51);
      }
    }),
  );
});

test("hue agrees with a float64 conversion to within the 8-bit steps of PIL's HSV", () => {
  fc.assert(
    fc.property(image, fc.integer({ min: -127, max: 127 }), (input, turn) => {
      const out = adjustHue(input, turn / 255);
      for (let i = 0; i < input.data.length; i += 3) {
        const [hue, saturation, value] = hsv(input.data[i]!, input.data[i + 1]!, input.data[i + 2]!);
        const turned = rgbOf((hue + ((turn + 256) % 256) / 256 + 1) % 1, saturation, value);
        const worst = Math.max(...turned.map((channel, c) => Math.abs(channel - out.data[i + c]!)));
        // Truncation of hue and of the turn moves a channel by less than two steps, of 6/255 of its range each.
        const steps = (2.2 * 6 * saturation * value) / 255;
        expect(worst).toBeLessThanOrEqual(2 + steps);
      }
    }),
  );
});

test("hue keeps greys and every pixel's brightest level", () => {
  fc.assert(
    fc.property(image, fc.double({ min: -0.5, max: 0.5, noNaN: true }), (input, factor) => {
      const out = adjustHue(input, factor).data;
      for (let i = 0; i < out.length; i += 3) {
        const before = [...input.data.subarray(i, i + 3)];
        const after = [...out.subarray(i, i + 3)];
        expect(Math.max(...after)).toBe(Math.max(...before));
        if (new Set(before).size === 1) expect(after).toEqual(before);
      }
    }),
  );
});

test("factors outside their range are refused with the operation's name", () => {
  const one: RgbImage = rgbImage(1, 1, new Uint8Array(3));
  expect(() => adjustBrightness(one, -0.1)).toThrow(/adjustBrightness.*-0\.1/);
  expect(() => adjustContrast(one, Number.NaN)).toThrow(/adjustContrast/);
  expect(() => adjustSaturation(one, Number.POSITIVE_INFINITY)).toThrow(/adjustSaturation/);
  expect(() => adjustHue(one, 0.51)).toThrow(/0\.51/);
});
