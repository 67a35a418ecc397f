import fc from "fast-check";
import { expect, test } from "vitest";
import type { BatchSource } from "../train/batch.ts";
import { classColor } from "./palette.ts";
import { previewSheet } from "./previewSheet.ts";

/** One grey image in each batch, of another level each, with a box of class 1 over its left half. */
const source = (batches: number, [height, width]: readonly [number, number]): BatchSource => ({
  batchesPerEpoch: batches,
  async *batches(epoch) {
    for (let index = 0; index < batches; index++)
      yield {
        // Padded with white, which is not shown.
        images: Float32Array.from({ length: 3 * height * (width + 8) }, (_, i) =>
          i % (width + 8) < width ? (10 * (index + epoch)) / 255 : 1,
        ),
        shape: [1, 3, height, width + 8],
        validSizes: [[height, width]],
        targets: [{ labels: Int32Array.of(1), boxes: Float32Array.of(0.25, 0.5, 0.5, 1) }],
        imageIds: [index],
        origSizes: [[width, height]],
        index,
      };
  },
});

test("images stand in rows, each with its pixels and its boxes", () =>
  fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 7 }),
      fc.constantFrom([64, 64] as const, [32, 64] as const, [96, 64] as const),
      async (count, size) => {
        const sheet = await previewSheet(source(9, size), { names: ["a", "b"], images: count, epoch: 3 });
        const columns = Math.ceil(Math.sqrt(count));
        const longer = Math.max(...size);
        const [height, width] = size.map((side) => Math.round((side * 320) / longer)) as [number, number];
        expect(sheet.width).toBe(columns * (width + 4) - 4);
        expect(sheet.height).toBe(Math.ceil(count / columns) * (height + 4) - 4);
        const at = (x: number, y: number) => [...sheet.data.slice(3 * (y * sheet.width + x)).slice(0, 3)];
        for (let i = 0; i < count; i++) {
          const [left, top] = [(i % columns) * (width + 4), Math.floor(i / columns) * (height + 4)];
          expect(at(left + Math.floor(0.75 * width), top + height - 5)).toEqual(Array(3).fill(10 * (i + 3)));
          expect(at(left, top + Math.floor(height / 2))).toEqual([...classColor(1)]);
          expect(at(left + Math.round(0.5 * width) - 1, top + height - 3)).toEqual([...classColor(1)]);
        }
      },
    ),
    { numRuns: 10 },
  ));

test("fewer images than asked for are all there are", async () => {
  expect((await previewSheet(source(1, [64, 64]), { names: ["a", "b"] })).width).toBe(320);
});
