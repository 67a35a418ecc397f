import fc from "fast-check";
import { expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
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

test("sizes that do not fit are refused with both numbers", async () => {
  says("pixels-count", await thrown(() => rgbImage(2, 2, new Uint8Array(11))));
  says("pixels-alpha", await thrown(() => rgbImage(2, 2, new Uint8Array(16))));
  says("pixels-float", await thrown(() => rgbImage(2, 2, new Float32Array(12) as unknown as Uint8Array)));
  says("pixels-side", await thrown(() => rgbImage(2.5, 2, new Uint8Array(15))));
  expect(() => toTensorData(createImage(2, 2), new Float32Array(12), { offset: 1 })).toThrow(/12 elements.*12/);
});
