import fc from "fast-check";
import { expect, test } from "vitest";
import { objectsOf, slowConfusion } from "../../test/mistakesOracle.ts";
import { categoryIds, type Row, scene, truthOf } from "../../test/scenes.ts";
import { confusionMatrix } from "./confusion.ts";
import type { Detection } from "./detections.ts";

test("is Ultralytics' in its own steps", () => {
  fc.assert(
    fc.property(scene, fc.integer({ min: 0, max: 12 }), ([list, detections], twelfths) => {
      const threshold = twelfths / 12;
      const truth = truthOf(list);
      expect(confusionMatrix(truth, detections, { threshold }).counts).toEqual(
        slowConfusion(truth, detections, threshold),
      );
    }),
    { numRuns: 500 },
  );
});

test("each column but the last sums up to the objects of its class", () => {
  fc.assert(
    fc.property(scene, ([list, detections]) => {
      const truth = truthOf(list);
      const { counts } = confusionMatrix(truth, detections);
      truth.categories.forEach(({ id }, label) => {
        expect(counts.reduce((sum, row) => sum + row[label]!, 0)).toBe(objectsOf(truth, id).length);
      });
    }),
  );
});

test("a class taken for another, a missed object and a detection of nothing have their places", () => {
  const [other, own] = categoryIds as [number, number];
  const object: Row = { image_id: 1, category_id: own, bbox: [10, 10, 50, 50], iscrowd: 0, share: 1 };
  const missed: Row = { ...object, bbox: [200, 200, 50, 50] };
  const found = (categoryId: number, bbox: Detection["bbox"]): Detection => ({
    imageId: 1,
    categoryId,
    bbox,
    score: 0.9,
  });
  const { names, counts, iou, threshold } = confusionMatrix(truthOf([object, missed]), [
    found(other, [10, 10, 50, 50]),
    found(own, [350, 350, 20, 20]),
    { ...found(own, [200, 200, 50, 50]), score: 0.2 },
  ]);
  expect({ names, iou, threshold }).toEqual({ names: ["c2", "c5"], iou: 0.45, threshold: 0.25 });
  // Rows: predicted c2, c5, background. Columns: true c2, c5, background.
  expect(counts).toEqual([
    [0, 0, 1],
    [1, 0, 0],
    [1, 0, 0],
  ]);
});
