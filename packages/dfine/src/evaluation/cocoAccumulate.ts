import { iouThresholds, recallLevels } from "./cocoStats.ts";

/** One category's detections of all images, best score first, for one area range and detection limit. */
export interface RankedMatches {
  /** Bit t: hit at threshold t. */
  readonly matched: Uint16Array;
  /** Bit t: counts neither way at threshold t. */
  readonly ignored: Uint16Array;
  /** Objects to be found, more than 0. */
  readonly positives: number;
}

/** Per IoU threshold. */
export interface Curve {
  /** Mean over the recall levels of the best precision at that recall or beyond. */
  readonly averagePrecision: Float64Array;
  /** Share of the objects found. */
  readonly recall: Float64Array;
}

/** Smallest step above 1, which keeps pycocotools' division from 0 / 0. */
const EPSILON = 2 ** -52;

/** Precision and recall along the ranking, as pycocotools accumulates them. */
export function accumulate(ranked: RankedMatches): Curve {
  const { matched, ignored, positives } = ranked;
  const size = matched.length;
  const averagePrecision = new Float64Array(iouThresholds.length);
  const recall = new Float64Array(iouThresholds.length);
  const precisions = new Float64Array(size);
  const recalls = new Float64Array(size);
  for (let t = 0; t < iouThresholds.length; t++) {
    const bit = 1 << t;
    let hits = 0;
    let misses = 0;
    for (let i = 0; i < size; i++) {
      if ((ignored[i]! & bit) === 0) {
        if ((matched[i]! & bit) === 0) misses++;
        else hits++;
      }
      recalls[i] = hits / positives;
      precisions[i] = hits / (misses + hits + EPSILON);
    }
    recall[t] = hits / positives;
    averagePrecision[t] = interpolate(precisions, recalls);
  }
  return { averagePrecision, recall };
}

/** Mean over the recall levels of the highest precision at that level or beyond; 0 for levels never reached. */
function interpolate(precisions: Float64Array, recalls: Float64Array): number {
  for (let i = precisions.length - 1; i > 0; i--) {
    if (precisions[i]! > precisions[i - 1]!) precisions[i - 1] = precisions[i]!;
  }
  let sum = 0;
  let at = 0;
  for (const level of recallLevels) {
    while (at < recalls.length && recalls[at]! < level) at++;
    if (at === recalls.length) break;
    sum += precisions[at]!;
  }
  return sum / recallLevels.length;
}
