import fc from "fast-check";
import { expect, test } from "vitest";
import { cmykToRgb } from "./cmyk.ts";

test("inks become what is left of white, rounded once per channel", () => {
  const byte = fc.nat(255);
  fc.assert(
    fc.property(fc.array(fc.tuple(byte, byte, byte, byte), { minLength: 1, maxLength: 20 }), (pixels) => {
      const expected = pixels.flatMap(([c, m, y, k]) =>
        [c, m, y].map((ink) => 255 - k - Math.round((ink * (255 - k)) / 255)),
      );
      expect([...cmykToRgb(Uint8Array.from(pixels.flat()))]).toEqual(expected);
    }),
  );
});

test("no ink is white, full black ink is black, pure inks are their complements", () => {
  const inks = Uint8Array.of(0, 0, 0, 0, 9, 99, 199, 255, 255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0);
  expect([...cmykToRgb(inks)]).toEqual([255, 255, 255, 0, 0, 0, 0, 255, 255, 255, 0, 255, 255, 255, 0]);
});
