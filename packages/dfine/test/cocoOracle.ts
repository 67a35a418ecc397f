import type { CocoAnnotation, CocoDataset } from "../src/data/dataset.ts";
import type { Detection } from "../src/evaluation/detections.ts";

/**
 * A second, slow reading of COCO's box measures, for tests only: every number is computed by itself from its
 * definition, with plain objects and without the tables, bit masks and shared rankings of the evaluator.
 */
export function slowCocoStats(truth: CocoDataset, detections: readonly Detection[]): number[] {
  const everyArea = [0, 1e10] as const;
  const small = [0, 1024] as const;
  const medium = [1024, 9216] as const;
  const large = [9216, 1e10] as const;
  const thresholds = [50, 55, 60, 65, 70, 75, 80, 85, 90, 95].map((percent) => percent / 100);
  const precision = (levels: number[], area: readonly [number, number]) =>
    average(levels.flatMap((iou) => categoriesOf(truth, detections, { iou, area, limit: 100 }).map(averagePrecision)));
  const recall = (limit: number, area: readonly [number, number]) =>
    average(
      thresholds.flatMap((iou) =>
        categoriesOf(truth, detections, { iou, area, limit }).map(({ outcomes, wanted }) => {
          return outcomes.filter((outcome) => outcome === "hit").length / wanted;
        }),
      ),
    );
  return [
    precision(thresholds, everyArea),
    precision([0.5], everyArea),
    precision([0.75], everyArea),
    precision(thresholds, small),
    precision(thresholds, medium),
    precision(thresholds, large),
    recall(1, everyArea),
    recall(10, everyArea),
    recall(100, everyArea),
    recall(100, small),
    recall(100, medium),
    recall(100, large),
  ];
}

interface Setting {
  readonly iou: number;
  readonly area: readonly [number, number];
  readonly limit: number;
}

interface Ranked {
  readonly outcomes: readonly ("hit" | "miss")[];
  readonly wanted: number;
}

function categoriesOf(truth: CocoDataset, detections: readonly Detection[], setting: Setting): Ranked[] {
  return truth.categories.flatMap(({ id }) => {
    const ranked = truth.images.flatMap((image) =>
      judgeImage(
        (truth.annotationsByImage.get(image.id) ?? []).filter(({ categoryId }) => categoryId === id),
        detections.filter(({ imageId, categoryId }) => imageId === image.id && categoryId === id),
        setting,
      ),
    );
    const wanted = [...truth.annotationsByImage.values()]
      .flat()
      .filter((annotation) => annotation.categoryId === id && isWanted(annotation, setting)).length;
    if (wanted === 0) return [];
    const outcomes = stableByScore(ranked)
      .map(({ outcome }) => outcome)
      .filter((outcome) => outcome !== "ignored");
    return [{ outcomes, wanted }];
  });
}

function judgeImage(annotations: readonly CocoAnnotation[], detections: readonly Detection[], setting: Setting) {
  const free = new Set(annotations);
  return stableByScore(detections)
    .slice(0, 100)
    .map((detection, rank) => {
      const reachable = [...free]
        .map((annotation) => ({ annotation, iou: overlap(detection, annotation) }))
        .filter(({ iou }) => iou >= setting.iou);
      const best = lastHighest(reachable.filter(({ annotation }) => isWanted(annotation, setting)));
      const fallback = best ?? lastHighest(reachable.filter(({ annotation }) => !isWanted(annotation, setting)));
      if (fallback && !fallback.annotation.iscrowd) free.delete(fallback.annotation);
      const size = detection.bbox[2] * detection.bbox[3];
      const inRange = size >= setting.area[0] && size <= setting.area[1];
      const outcome: "hit" | "miss" | "ignored" = best ? "hit" : fallback || !inRange ? "ignored" : "miss";
      return { score: detection.score, outcome, rank };
    })
    .filter(({ rank }) => rank < setting.limit);
}

function isWanted({ iscrowd, area }: CocoAnnotation, setting: Setting): boolean {
  return !iscrowd && area >= setting.area[0] && area <= setting.area[1];
}

function overlap(detection: Detection, annotation: CocoAnnotation): number {
  const [ax, ay, aw, ah] = detection.bbox;
  const [bx, by, bw, bh] = annotation.bbox;
  const across = Math.max(0, Math.min(ax + aw, bx + bw) - Math.max(ax, bx));
  const down = Math.max(0, Math.min(ay + ah, by + bh) - Math.max(ay, by));
  if (across * down === 0) return 0;
  return (across * down) / (annotation.iscrowd ? aw * ah : aw * ah + bw * bh - across * down);
}

function lastHighest<T extends { readonly iou: number }>(list: readonly T[]): T | undefined {
  return list.reduce<T | undefined>((best, one) => (best === undefined || one.iou >= best.iou ? one : best), undefined);
}

function stableByScore<T extends { readonly score: number }>(list: readonly T[]): T[] {
  return [...list].sort((a, b) => b.score - a.score);
}

function averagePrecision({ outcomes, wanted }: Ranked): number {
  let hits = 0;
  const points = outcomes.map((outcome, i) => {
    if (outcome === "hit") hits++;
    return { recall: hits / wanted, precision: hits / (i + 1) };
  });
  // pycocotools' levels carry the rounding of this product: a recall of 7 / 10 stays below level 70.
  const levels = Array.from({ length: 101 }, (_, percent) => percent * 0.01);
  return average(
    levels.map((level) =>
      points.reduce((best, { recall, precision }) => (recall >= level ? Math.max(best, precision) : best), 0),
    ),
  );
}

function average(values: readonly number[]): number {
  return values.length === 0 ? -1 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
