import type { CocoAnnotation, CocoDataset } from "../data/dataset.ts";
import { cocoIou } from "./cocoMatch.ts";
import type { Detection } from "./detections.ts";
import { checkDetections, groupBy } from "./imageCategories.ts";

/** What objects of each class are taken for. */
export interface ConfusionMatrix {
  /** Class names in the order of rows and columns; "background", which is last in both, is not among them. */
  readonly names: readonly string[];
  /**
   * [predicted][true] counts, [C + 1][C + 1]. Last row: objects that nothing was found on. Last column: detections where no
   * object is. The corner is 0.
   */
  readonly counts: readonly (readonly number[])[];
  /** Lowest score of the detections that count. */
  readonly threshold: number;
  /** IoU above which a detection and an object belong together. */
  readonly iou: number;
}

/**
 * Ultralytics' confusion matrix: rows are predicted, columns true classes, and the last of each is the background. Whatever
 * their classes, a detection and an object belong together above `iou` (default 0.45) where each has its highest IoU with the
 * other: each detection keeps its best object, then each object the best of those detections. Scores from `threshold` on
 * (default 0.25) count; predict shows the same. Of equal IoU the earlier object and the detection of higher score are taken.
 * Crowds are no objects here, and what lies in one (more than `iou` of its area) without an object is left out.
 * @throws DatasetError when a detection names an unknown image or holds a number that is not finite
 */
export function confusionMatrix(
  dataset: CocoDataset,
  detections: readonly Detection[],
  { threshold = 0.25, iou = 0.45 }: { readonly threshold?: number; readonly iou?: number } = {},
): ConfusionMatrix {
  checkDetections(dataset, detections);
  const { categories, labels, images, annotationsByImage } = dataset;
  const background = categories.length;
  const counts = Array.from({ length: background + 1 }, () => new Array<number>(background + 1).fill(0));
  const counted = detections.filter(({ categoryId, score }) => labels.has(categoryId) && score >= threshold);
  const byImage = groupBy(counted, ({ imageId }) => imageId);
  for (const { id } of images) {
    const found = (byImage.get(id) ?? []).sort((a, b) => b.score - a.score);
    const annotations = annotationsByImage.get(id) ?? [];
    const truth = annotations.filter(({ iscrowd }) => !iscrowd);
    const partners = pair(truth, found, iou);
    for (const [g, { categoryId }] of truth.entries()) {
      const partner = found[partners[g]!];
      counts[partner ? labels.get(partner.categoryId)! : background]![labels.get(categoryId)!]!++;
    }
    const paired = new Set(partners);
    const alone = found.filter((_, d) => !paired.has(d));
    const inCrowd = cocoIou({ truth: annotations.filter(({ iscrowd }) => iscrowd), found: alone });
    const crowds = annotations.length - truth.length;
    for (const [d, { categoryId }] of alone.entries()) {
      if (inCrowd.slice(d * crowds, (d + 1) * crowds).some((share) => share > iou)) continue;
      counts[labels.get(categoryId)!]![background]!++;
    }
  }
  return { names: categories.map(({ name }) => name), counts, threshold, iou };
}

/** For each object the position of the detection that belongs to it, or -1. */
function pair(truth: readonly CocoAnnotation[], found: readonly Detection[], iou: number): number[] {
  const overlaps = cocoIou({ truth, found });
  const partners = truth.map(() => -1);
  const overlapOf = (d: number, g: number) => overlaps[d * truth.length + g]!;
  for (const d of found.keys()) {
    let best = -1;
    for (const g of truth.keys())
      if (overlapOf(d, g) > iou && (best < 0 || overlapOf(d, g) > overlapOf(d, best))) best = g;
    if (best < 0) continue;
    const rival = partners[best]!;
    if (rival < 0 || overlapOf(d, best) > overlapOf(rival, best)) partners[best] = d;
  }
  return partners;
}
