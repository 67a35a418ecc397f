import type { CocoAnnotation, CocoDataset } from "../src/data/dataset.ts";
import type { Detection } from "../src/evaluation/detections.ts";

/**
 * Second, slow readings of the evaluation's other measures, for tests only: each is computed from its definition, for one
 * threshold at a time, and shares no code with the evaluator.
 */

export function iouOf(a: readonly number[], b: readonly number[]): number {
  const side = (axis: 0 | 1) =>
    Math.max(0, Math.min(a[axis]! + a[axis + 2]!, b[axis]! + b[axis + 2]!) - Math.max(a[axis]!, b[axis]!));
  const shared = side(0) * side(1);
  return shared === 0 ? 0 : shared / (a[2]! * a[3]! + b[2]! * b[3]! - shared);
}

export interface Judged {
  readonly detection: Detection;
  readonly outcome: "right" | "wrong" | "ignored";
  readonly object: CocoAnnotation | undefined;
}

/** Detections of a score from `threshold` on, best first, each with the free object of highest IoU from 0.5 on that it takes. */
export function slowJudge(truth: CocoDataset, detections: readonly Detection[], threshold: number): Judged[] {
  const free = new Set([...truth.annotationsByImage.values()].flat());
  const counted = detections.filter(({ score }) => score >= threshold);
  return counted
    .sort((a, b) => b.score - a.score)
    .map((detection): Judged => {
      const here = truth.annotationsByImage.get(detection.imageId)!;
      const own = here.filter(({ categoryId }) => categoryId === detection.categoryId);
      let object: CocoAnnotation | undefined;
      for (const one of own)
        if (free.has(one) && !one.iscrowd && iouOf(detection.bbox, one.bbox) >= 0.5)
          if (!object || iouOf(detection.bbox, one.bbox) >= iouOf(detection.bbox, object.bbox)) object = one;
      if (object) free.delete(object);
      const isInCrowd = own.some((one) => one.iscrowd && crowdShare(detection, one) >= 0.5);
      return { detection, object, outcome: object ? "right" : isInCrowd ? "ignored" : "wrong" };
    });
}

/** Share of a detection that lies in a crowd. */
function crowdShare({ bbox }: Detection, crowd: CocoAnnotation): number {
  const [x, y, w, h] = bbox;
  const [left, top, width, height] = crowd.bbox;
  const across = Math.max(0, Math.min(x + w, left + width) - Math.max(x, left));
  const down = Math.max(0, Math.min(y + h, top + height) - Math.max(y, top));
  return (across * down) / (w * h);
}

/** Precision, recall and F1 of a category at one threshold; undefined where it has no objects. */
export function slowPoint(truth: CocoDataset, detections: readonly Detection[], at: { id: number; threshold: number }) {
  const objects = objectsOf(truth, at.id).length;
  const own = detections.filter(({ categoryId }) => categoryId === at.id);
  const judged = slowJudge(truth, own, at.threshold);
  const right = judged.filter(({ outcome }) => outcome === "right").length;
  const wrong = judged.filter(({ outcome }) => outcome === "wrong").length;
  if (objects === 0) return undefined;
  return {
    precision: right + wrong === 0 ? 1 : right / (right + wrong),
    recall: right / objects,
    f1: (2 * right) / (2 * right + wrong + (objects - right)),
  };
}

export const objectsOf = (truth: CocoDataset, id: number): CocoAnnotation[] =>
  [...truth.annotationsByImage.values()].flat().filter(({ categoryId, iscrowd }) => categoryId === id && !iscrowd);

/** Ultralytics' `ConfusionMatrix.process_batch` in its own steps: list all pairs, thin them out twice, count. */
export function slowConfusion(truth: CocoDataset, detections: readonly Detection[], threshold: number): number[][] {
  const classes = truth.categories.map(({ id }) => id);
  const classOf = ({ categoryId }: { categoryId: number }) => classes.indexOf(categoryId);
  const matrix = [...classes, 0].map(() => [...classes, 0].map(() => 0));
  for (const { id } of truth.images) {
    const all = truth.annotationsByImage.get(id)!;
    const objects = all.filter(({ iscrowd }) => !iscrowd);
    const found = detections.filter((one) => one.imageId === id && one.score >= threshold);
    found.sort((a, b) => b.score - a.score);
    let pairs = objects.flatMap((object, g) =>
      found.map((one, d) => ({ g, d, iou: iouOf(one.bbox, object.bbox) })).filter(({ iou }) => iou > 0.45),
    );
    // The best pair of each detection, then of each object: sorted by IoU, the first of each stays.
    const thin = (key: "d" | "g") => {
      pairs.sort((a, b) => b.iou - a.iou || a.g - b.g || a.d - b.d);
      pairs = pairs.filter((pair, i) => pairs.findIndex((other) => other[key] === pair[key]) === i);
    };
    thin("d");
    thin("g");
    objects.forEach((object, g) => {
      const pair = pairs.find((one) => one.g === g);
      matrix[pair ? classOf(found[pair.d]!) : classes.length]![classOf(object)]!++;
    });
    found.forEach((one, d) => {
      if (pairs.some((pair) => pair.d === d)) return;
      if (all.some((object) => object.iscrowd && crowdShare(one, object) > 0.45)) return;
      matrix[classOf(one)]![classes.length]!++;
    });
  }
  return matrix;
}
