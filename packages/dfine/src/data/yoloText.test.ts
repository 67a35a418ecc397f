import fc from "fast-check";
import { expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { DatasetError } from "./errors.ts";
import { parseYoloLabels, yoloLine, yoloPixels } from "./yoloText.ts";

const read = (text: string, keypoints = 0) => parseYoloLabels(text, "a.txt", { classes: 3, keypoints });

test("boxes, polygons, poses, empty lines and numbers that leave the image by a hair", () => {
  expect(read("0 0.5 0.5 1 1\r\n\n2 0.25 0.5 0.5 0.5\n").map(({ label, box }) => [label, ...box])).toEqual([
    [0, 0, 0, 1, 1],
    [2, 0, 0.25, 0.5, 0.5],
  ]);
  expect(read("1 0.25 0.75 0.5 0.25 0.75 0.5")[0]).toEqual({ label: 1, box: [0.25, 0.25, 0.5, 0.5] });
  expect(read("1 0.5 0.5 0.5 0.5 0.9 0.9 2 0.1 0.1 1", 6)[0]).toEqual({ label: 1, box: [0.25, 0.25, 0.5, 0.5] });
  expect(read("0 0.5 0.5 1.004 -0.000001")).toHaveLength(1);
  expect(read("")).toEqual([]);
});

test.each([
  ["yolo-pixels", "0 0.5 0.5 1 1\n0 320 240 100 100"],
  ["yolo-class", "3 0.5 0.5 1 1"],
  ["yolo-score", "0 0.5 0.5 1 1 0.9"],
  ["yolo-text", "cat 0.5 0.5 1 1"],
])("%s", async (row, text) => {
  const error = await thrown(() => read(text));
  expect(error).toBeInstanceOf(DatasetError);
  says(row, error);
});

const side = fc.integer({ min: 1, max: 100_000 });

test("boxes in millionths of a pixel come back exactly, in images of any size", () => {
  const millionths = (most: number) => fc.integer({ min: 0, max: most * 1e6 }).map((steps) => steps / 1e6);
  const image = fc.tuple(side, side).chain(([width, height]) =>
    fc.tuple(millionths(width), millionths(height), millionths(width), millionths(height)).map(([x, y, w, h]) => ({
      ...{ width, height },
      bbox: [
        x,
        y,
        Math.round((width - x) * Math.min(1, w / width) * 1e6) / 1e6,
        Math.round((height - y) * Math.min(1, h / height) * 1e6) / 1e6,
      ] as const,
    })),
  );
  fc.assert(
    fc.property(image, ({ width, height, bbox }) => {
      const [object] = read(yoloLine(2, bbox, { width, height }));
      expect(object!.label).toBe(2);
      expect(yoloPixels(object!.box, { width, height })).toEqual(bbox);
    }),
    { numRuns: 1000 },
  );
});

test("a box that begins just beyond the edge for rounding begins at 0, not at -0", () => {
  const size = { width: 38, height: 3 };
  expect(yoloPixels([-1e-9, -1e-13, 0.5, 0.5], size)).toEqual([0, 0, 19, 1.5]);
});
