import fc from "fast-check";
import { expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { flipBoxes, flipImage } from "./flip.ts";
import { createImage, rgbImage, toTensorData } from "./image.ts";

const image = fc
  .tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 7 }))
  .chain(([width, height]) =>
    fc
      .uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 })
      .map((data) => rgbImage(width, height, data)),
  );

test("toTensorData writes float32(v / 255) channel by channel and nothing beside its slot", () => {
  fc.assert(
    fc.property(image, fc.nat(5), (input, offset) => {
      const size = input.width * input.height * 3;
      const target = new Float32Array(offset + size + 2).fill(-1);
      toTensorData(input, target, { offset });
      for (let c = 0; c < 3; c++) {
        for (let y = 0; y < input.height; y++) {
          for (let x = 0; x < input.width; x++) {
            const expected = Math.fround(input.data[(y * input.width + x) * 3 + c]! / 255);
            expect(target[offset + (c * input.height + y) * input.width + x]).toBe(expected);
          }
        }
      }
      expect([...target.subarray(0, offset), ...target.subarray(offset + size)].every((value) => value === -1)).toBe(
        true,
      );
    }),
  );
});

test("flipping while writing equals flipping before; twice is nothing", () => {
  fc.assert(
    fc.property(image, (input) => {
      const size = input.width * input.height * 3;
      const mirrored = new Float32Array(size);
      const expected = new Float32Array(size);
      toTensorData(input, mirrored, { flip: true });
      toTensorData(flipImage(input), expected);
      expect(mirrored).toEqual(expected);
      expect(flipImage(flipImage(input)).data).toEqual(input.data);
      expect(flipImage(input).data.subarray(0, 3)).toEqual(input.data.subarray((input.width - 1) * 3, input.width * 3));
    }),
  );
});

test("a flipped box covers the flipped pixels", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 30 }), fc.nat(), fc.nat(), (width, a, b) => {
      const left = a % width;
      const right = left + 1 + (b % (width - left));
      const input = createImage(width, 1);
      for (let x = left; x < right; x++) input.data[x * 3] = 255;
      const flipped = flipImage(input);
      const [cx, , w] = flipBoxes(Float32Array.of((left + right) / 2 / width, 0.5, (right - left) / width, 1));
      for (let x = 0; x < width; x++) {
        const centre = (x + 0.5) / width;
        expect(Math.abs(centre - cx!) < w! / 2).toBe(flipped.data[x * 3] === 255);
      }
    }),
  );
});

test("sizes that do not fit are refused with both numbers", async () => {
  says("pixels-count", await thrown(() => rgbImage(2, 2, new Uint8Array(11))));
  says("pixels-alpha", await thrown(() => rgbImage(2, 2, new Uint8Array(16))));
  says("pixels-float", await thrown(() => rgbImage(2, 2, new Float32Array(12) as unknown as Uint8Array)));
  says("pixels-side", await thrown(() => rgbImage(2.5, 2, new Uint8Array(15))));
  expect(() => toTensorData(createImage(2, 2), new Float32Array(12), { offset: 1 })).toThrow(/12 elements.*12/);
});
