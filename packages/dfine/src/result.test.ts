import { expect, test } from "vitest";
import { toResult } from "./result.ts";

const detections = {
  labels: Int32Array.from([1, 0, 1]),
  boxes: Float64Array.from([-5, 2, 50, 30, 1, 2, 3, 4, 0, 0, 1, 1]),
  scores: Float64Array.from([0.9, 0.6, 0.3]),
};
const image = { width: 40, height: 20, names: ["cat", "dog"] };

test("keeps what reaches the threshold, best first, cut at the image's edge", () => {
  const result = toResult(detections, { ...image, threshold: 0.5, maxDetections: 10 });
  expect([...result]).toEqual([
    { label: "dog", classId: 1, score: 0.9, box: { xmin: 0, ymin: 2, xmax: 40, ymax: 20 } },
    { label: "cat", classId: 0, score: 0.6, box: { xmin: 1, ymin: 2, xmax: 3, ymax: 4 } },
  ]);
  expect(toResult(detections, { ...image, threshold: 0, maxDetections: 1 }).length).toBe(1);
});

test("as COCO results, by category id", () => {
  const result = toResult(detections, { ...image, threshold: 0.5, maxDetections: 1 });
  expect(result.toCOCO(7, [10, 30])).toEqual([{ imageId: 7, categoryId: 30, bbox: [0, 2, 40, 18], score: 0.9 }]);
  expect(result.toCOCO(7)[0]!.categoryId).toBe(1);
});

test("a score that is no number ends the list", () => {
  const scores = Float64Array.from([0.9, Number.NaN, 0.3]);
  expect(toResult({ ...detections, scores }, { ...image, threshold: 0.1, maxDetections: 10 }).length).toBe(1);
});
