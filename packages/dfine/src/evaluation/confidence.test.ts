import fc from "fast-check";
import { expect, test } from "vitest";
import { slowJudge, slowPoint } from "../../test/mistakesOracle.ts";
import { categoryIds, distinct, scene, truthOf } from "../../test/scenes.ts";
import type { CocoDataset } from "../data/dataset.ts";
import { evaluateDetections } from "./cocoEval.ts";
import { confidenceCurves } from "./confidence.ts";
import type { Detection } from "./detections.ts";

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / (values.length || 1);

/** Means over the categories that have objects, by definition. */
function slowMean(truth: CocoDataset, detections: readonly Detection[], threshold: number) {
  const points = categoryIds.flatMap((id) => slowPoint(truth, detections, { id, threshold }) ?? []);
  const precision = mean(points.map((point) => point.precision));
  return { precision, recall: mean(points.map(({ recall }) => recall)), f1: mean(points.map(({ f1 }) => f1)) };
}

test("precision, recall and F1 at every sampled threshold are those of the definition", () => {
  fc.assert(
    fc.property(scene, fc.nat(100), ([list, detections], i) => {
      const truth = truthOf(list);
      const { all, perCategory } = confidenceCurves(truth, detections);
      const threshold = i / 100;
      for (const { categoryId, byThreshold } of perCategory) {
        const expected = slowPoint(truth, detections, { id: categoryId, threshold });
        if (expected) expectNear(byThreshold[i]!, { threshold, ...expected });
      }
      expectNear(all.byThreshold[i]!, { threshold, ...slowMean(truth, detections, threshold) });
    }),
    { numRuns: 300 },
  );
});

function expectNear(found: object, expected: Record<string, number>): void {
  for (const [name, value] of Object.entries(expected))
    expect(Math.abs((found as Record<string, number>)[name]! - value), name).toBeLessThan(1e-12);
}

test("no other score gives a higher mean F1 than the best threshold, nor in a category", () => {
  fc.assert(
    fc.property(scene, ([list, detections]) => {
      const truth = truthOf(list);
      const { all, perCategory } = confidenceCurves(truth, detections);
      const scores = detections.map(({ score }) => score);
      const highest = Math.max(0, ...scores.map((threshold) => slowMean(truth, detections, threshold).f1));
      expect(all.best?.f1 ?? 0).toBeCloseTo(highest, 12);
      if (all.best) expectNear(all.best, slowMean(truth, detections, all.best.threshold));
      for (const { categoryId: id, best } of perCategory) {
        const f1 = (threshold: number) => slowPoint(truth, detections, { id, threshold })?.f1 ?? 0;
        expect(best?.f1 ?? 0).toBeCloseTo(Math.max(0, ...scores.map(f1)), 12);
        if (best) expect(best.f1).toBeCloseTo(f1(best.threshold), 12);
      }
    }),
    { numRuns: 300 },
  );
});

test("precision by recall is the best that any number of best detections reaches, and its mean is AP50", () => {
  fc.assert(
    fc.property(scene.map(distinct), fc.nat(100), ([list, detections], percent) => {
      const truth = truthOf(list);
      const { perCategory } = confidenceCurves(truth, detections);
      const ap50 = evaluateDetections(truth, detections).perCategory.map((category) => category.ap50);
      for (const [label, { categoryId, objects, precisionByRecall }] of perCategory.entries()) {
        if (objects === 0) {
          expect(precisionByRecall).toEqual([]);
          continue;
        }
        const own = detections.filter((one) => one.categoryId === categoryId);
        const counted = slowJudge(truth, own, -1).filter(({ outcome }) => outcome !== "ignored");
        const reached = counted.map((_, k) => {
          const right = counted.slice(0, k + 1).filter(({ outcome }) => outcome === "right").length;
          return { recall: right / objects, precision: right / (k + 1) };
        });
        // The levels carry the rounding of this product, as pycocotools' do.
        const enough = reached.filter(({ recall }) => recall >= percent * 0.01).map(({ precision }) => precision);
        expect(precisionByRecall[percent]).toBeCloseTo(Math.max(0, ...enough), 12);
        expect(mean(precisionByRecall)).toBeCloseTo(ap50[label]!, 12);
      }
    }),
    { numRuns: 300 },
  );
});

test("a best threshold lies between two scores; nothing found has none", () => {
  const truth = truthOf([{ image_id: 1, category_id: 2, bbox: [10, 10, 50, 50], iscrowd: 0, share: 1 }]);
  const right: Detection = { imageId: 1, categoryId: 2, bbox: [10, 10, 50, 50], score: 0.75 };
  const wrong: Detection = { ...right, bbox: [300, 300, 9, 9], score: 0.25 };
  expect(confidenceCurves(truth, [wrong, right]).all.best).toEqual({ threshold: 0.5, precision: 1, recall: 1, f1: 1 });
  expect(confidenceCurves(truth, [right]).all.best?.threshold).toBe(0.75);
  expect(confidenceCurves(truth, [wrong]).all.best).toBeUndefined();
  expect(confidenceCurves(truthOf([]), [right]).all).toMatchObject({
    objects: 0,
    precisionByRecall: [],
    best: undefined,
  });
});
