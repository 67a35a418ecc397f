import fc from "fast-check";
import { expect, test } from "vitest";
import { iouOf, slowJudge } from "../../test/mistakesOracle.ts";
import { categoryIds, type Row, scene, truthOf } from "../../test/scenes.ts";
import type { CocoDataset } from "../data/dataset.ts";
import type { Detection } from "./detections.ts";
import { explainDetections } from "./explain.ts";
import { type FalsePositiveKind, findMistakes } from "./mistakes.ts";

/** The kind of a wrong detection, from its definition. */
function kindOf(truth: CocoDataset, { imageId, categoryId, bbox }: Detection): FalsePositiveKind {
  const objects = truth.annotationsByImage.get(imageId)!.filter(({ iscrowd }) => !iscrowd);
  const touches = (isOwn: boolean, least: number) =>
    objects.some((one) => (one.categoryId === categoryId) === isOwn && iouOf(bbox, one.bbox) >= least);
  if (touches(true, 0.5)) return "duplicate";
  if (touches(false, 0.5)) return "wrong class";
  return touches(true, 0.1) ? "poorly placed" : "background";
}

test("false positives and negatives, and their kinds, are those of the definition", () => {
  fc.assert(
    fc.property(scene, fc.integer({ min: 0, max: 12 }), ([list, detections], twelfths) => {
      const threshold = twelfths / 12;
      const truth = truthOf(list);
      const { falsePositives, falseNegatives, counts } = findMistakes(truth, detections, { threshold });
      const judged = slowJudge(truth, detections, threshold);
      const wrong = judged.filter(({ outcome }) => outcome === "wrong").map(({ detection }) => detection);
      expect(new Set(falsePositives.map(({ detection }) => detection))).toEqual(new Set(wrong));
      for (const { kind, detection } of falsePositives) expect(kind).toBe(kindOf(truth, detection));
      const objects = [...truth.annotationsByImage.values()].flat().filter(({ iscrowd }) => !iscrowd);
      const taken = new Set(judged.map(({ object }) => object));
      expect(new Set(falseNegatives.map(({ object }) => object))).toEqual(
        new Set(objects.filter((object) => !taken.has(object))),
      );
      for (const { kind, imageId, object, score } of falseNegatives) {
        const near = (isOwn: boolean, least: number) =>
          wrong.some(
            (one) =>
              one.imageId === imageId &&
              (one.categoryId === object.categoryId) === isOwn &&
              iouOf(one.bbox, object.bbox) >= least,
          );
        const faint = detections.filter(
          (one) =>
            one.imageId === imageId &&
            one.categoryId === object.categoryId &&
            one.score < threshold &&
            iouOf(one.bbox, object.bbox) >= 0.5,
        );
        expect(score).toBe(Math.max(0, ...faint.map((one) => one.score)));
        const rest = score > 0 ? "low score" : "nothing";
        expect(kind).toBe(near(false, 0.5) ? "wrong class" : near(true, 0.1) ? "poorly placed" : rest);
      }
      expect(Object.values(counts.falsePositives).reduce((a, b) => a + b)).toBe(falsePositives.length);
      expect(Object.values(counts.falseNegatives).reduce((a, b) => a + b)).toBe(falseNegatives.length);
    }),
    { numRuns: 400 },
  );
});

const [other, own] = categoryIds as [number, number];
const object: Row = { image_id: 1, category_id: own, bbox: [10, 10, 50, 50], iscrowd: 0, share: 1 };
const found = (bbox: Detection["bbox"], score: number, categoryId = own): Detection => ({
  imageId: 1,
  categoryId,
  bbox,
  score,
});

test("the surest mistakes come first, and no more than asked for", () => {
  const detections = [
    found([10, 10, 50, 50], 0.9),
    found([10, 10, 50, 45], 0.8),
    found([10, 10, 50, 46], 0.7, other),
    found([10, 10, 20, 20], 0.6),
    found([300, 300, 20, 20], 0.95),
  ];
  const { falsePositives, counts } = findMistakes(truthOf([object]), detections, { most: 3 });
  expect(falsePositives.map(({ kind }) => kind)).toEqual(["background", "duplicate", "wrong class"]);
  expect(counts.falsePositives).toEqual({ duplicate: 1, "wrong class": 1, "poorly placed": 1, background: 1 });
});

test("an explanation uses the best threshold throughout, and 0.5 where nothing is found", () => {
  const detections = [found([10, 10, 50, 50], 0.25), found([300, 300, 9, 9], 0.125)];
  const { threshold, confusion, mistakes } = explainDetections(truthOf([object]), detections);
  expect([threshold, confusion.threshold, mistakes.threshold]).toEqual([0.1875, 0.1875, 0.1875]);
  expect(explainDetections(truthOf([object]), []).threshold).toBe(0.5);
});

test("class-agnostic, a box of any class finds the object", () => {
  const detections = [found([10, 10, 50, 50], 0.9, other)];
  expect(explainDetections(truthOf([object]), detections).mistakes.falseNegatives).toHaveLength(1);
  const { mistakes, confusion } = explainDetections(truthOf([object]), detections, { classAgnostic: true });
  expect(mistakes.falseNegatives).toHaveLength(0);
  expect(confusion.names).toEqual(["any object"]);
});
