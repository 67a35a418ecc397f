import { expect, test } from "vitest";
import { createImage } from "../data/image.ts";
import { decodeImage } from "./data/decode.ts";
import { drawObjects, encodeImage, thumbnail } from "./draw.ts";
import { fontLetters, glyphPixel } from "./font.ts";
import { classColor } from "./palette.ts";

const image = createImage(100, 60);
const object = { label: "é", classId: 2, score: 0.5, box: { xmin: 20.4, ymin: 30, xmax: 59.6, ymax: 50 } };
const pixel = (x: number, y: number, of = drawn) => [...of.data.subarray((y * 100 + x) * 3, (y * 100 + x) * 3 + 3)];
const drawn = drawObjects(image, [object]);

test("a box is outlined in its class's colour and its inside left alone", () => {
  for (const [x, y] of [
    [20, 30],
    [59, 30],
    [20, 49],
    [59, 49],
    [40, 31],
  ] as const)
    expect(pixel(x, y)).toEqual(classColor(2));
  for (const [x, y] of [
    [40, 40],
    [19, 40],
    [60, 40],
    [40, 50],
  ] as const)
    expect(pixel(x, y)).toEqual([0, 0, 0]);
  expect(image.data.every((value) => value === 0)).toBe(true);
});

test("the caption stands above the box", () => {
  expect(pixel(20, 29)).toEqual(classColor(2));
  expect(pixel(20, 20)).toEqual([0, 0, 0]);
});

test("boxes and captions that leave the image are cut", () => {
  const outside = {
    label: "a very long name",
    classId: 1,
    score: 1,
    box: { xmin: -5, ymin: -5, xmax: 300, ymax: 300 },
  };
  expect(drawObjects(image, [outside]).data.length).toBe(image.data.length);
});

test("letters without accents, capitals only, and a mark for what is unknown", () => {
  expect(fontLetters("é x")).toEqual(["E", " ", "X"]);
  const rows = Array.from({ length: 7 }, (_, y) =>
    Array.from({ length: 5 }, (_, x) => (glyphPixel("4", x, y) ? "#" : ".")).join(""),
  );
  expect(rows).toEqual(["...#.", "..##.", ".#.#.", "#..#.", "#####", "...#.", "...#."]);
  expect(glyphPixel("漢", 1, 0)).toBe(glyphPixel("?", 1, 0));
});

test("neighbouring classes look different", () => {
  for (let i = 0; i < 20; i++) {
    const [a, b] = [classColor(i), classColor(i + 1)];
    expect(a.reduce((sum, value, k) => sum + Math.abs(value - b[k]!), 0)).toBeGreaterThan(100);
  }
});

test("encoding keeps the size, and PNG the pixels", async () => {
  const png = await decodeImage(await encodeImage(drawn, "a.PNG"));
  expect(png).toEqual(drawn);
  const jpeg = await decodeImage(await encodeImage(drawn, "a.jpg"));
  expect([jpeg.width, jpeg.height]).toEqual([100, 60]);
  const small = await thumbnail(drawn, 50);
  const bytes = Buffer.from(small.slice(small.indexOf(",") + 1), "base64");
  expect((await decodeImage(bytes)).width).toBe(50);
});
