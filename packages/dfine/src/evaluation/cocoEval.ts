import type { CocoDataset } from "../data/dataset.ts";
import { accumulate, type Curve } from "./cocoAccumulate.ts";
import { type Cell, cocoIou, matchDetections } from "./cocoMatch.ts";
import { areaRanges, type CocoStatName, cocoStats, detectionLimits } from "./cocoStats.ts";
import type { Detection } from "./detections.ts";
import { checkDetections, groupByCategory, ofOneClass } from "./imageCategories.ts";

/** Box AP of one category over IoU 0.50 to 0.95; -1 when it has no objects. */
export interface CategoryResult {
  readonly categoryId: number;
  readonly name: string;
  readonly ap: number;
  readonly ap50: number;
  /** Objects to be found, without crowds. */
  readonly objects: number;
}

/** Outcome of a COCO box evaluation. */
export interface CocoResult {
  /** The twelve numbers; -1 where there was nothing to find. */
  readonly stats: Readonly<Record<CocoStatName, number>>;
  /** One entry per category of the data set, in its order. */
  readonly perCategory: readonly CategoryResult[];
  /** Detections left out because the data set has no such category, as pycocotools leaves them out. */
  readonly unknownCategory: number;
}

/** What is compared. */
export interface EvaluateDetectionsOptions {
  /** Categories do not matter: a box of any finds an object of any. pycocotools calls it `useCats = 0`. Default false. */
  readonly classAgnostic?: boolean;
}

/**
 * Scores detections by COCO's box measures, equal to pycocotools: IoU 0.50:0.05:0.95, 101 recall levels, 1, 10 and 100
 * detections per image and category, sizes by annotation area, crowds ignored, equal scores in the order given.
 * (One difference: an annotation with id 0 can be matched like any other; pycocotools takes it for unmatched.)
 * @throws DatasetError when a detection names an unknown image or holds a number that is not finite
 */
export function evaluateDetections(
  groundTruth: CocoDataset,
  detections: readonly Detection[],
  { classAgnostic = false }: EvaluateDetectionsOptions = {},
): CocoResult {
  checkDetections(groundTruth, detections);
  if (classAgnostic) return evaluateDetections(...ofOneClass(groundTruth, detections));
  const { cells, unknownCategory } = groupByCategory(groundTruth, detections);
  const curves = cells.map(categoryCurves);
  const stats = Object.fromEntries(
    cocoStats.map(({ name, measure, threshold, area, limit }) => {
      const values = curves.flatMap((category) => {
        const perThreshold = category[area]![limit]?.[measure] ?? [];
        return threshold === null ? perThreshold : perThreshold.slice(threshold, threshold + 1);
      });
      return [name, mean(values)];
    }),
  ) as Record<CocoStatName, number>;
  const perCategory = groundTruth.categories.map(({ id, name }, label): CategoryResult => {
    const { precision = [] } = curves[label]![0]!.at(-1) ?? {};
    const objects = cells[label]!.flatMap(({ truth }) => truth).filter(({ iscrowd }) => !iscrowd).length;
    return { categoryId: id, name, ap: mean(precision), ap50: precision[0] ?? -1, objects };
  });
  return { stats, perCategory, unknownCategory };
}

/** Curves of one category: [area range][detection limit]; null where there is nothing to find. */
function categoryCurves(cells: readonly Cell[]): (Curve | null)[][] {
  const overlaps = cells.map(cocoIou);
  const rows = cells.flatMap(({ found }) => found.map(({ score }, rank) => ({ score, rank })));
  const ranking = [...rows.keys()].sort((a, b) => rows[b]!.score - rows[a]!.score);
  const counted = detectionLimits.map((limit) => ranking.filter((row) => rows[row]!.rank < limit));
  return areaRanges.map((range) => {
    const parts = cells.map((cell, i) => matchDetections(cell, overlaps[i]!, range));
    const positives = parts.reduce((sum, part) => sum + part.positives, 0);
    if (positives === 0) return counted.map(() => null);
    const matched = parts.flatMap((part) => part.matched);
    const ignored = parts.flatMap((part) => part.ignored);
    return counted.map((kept) =>
      accumulate({ matched: kept.map((row) => matched[row]!), ignored: kept.map((row) => ignored[row]!), positives }),
    );
  });
}

function mean(values: readonly number[]): number {
  if (values.length === 0) return -1;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
