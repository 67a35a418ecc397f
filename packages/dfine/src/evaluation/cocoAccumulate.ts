import type { Matches } from "./cocoMatch.ts";
import { iouThresholds, recallLevels } from "./cocoStats.ts";

/** Per IoU threshold. */
export interface Curve {
  /** Mean over the recall levels of the best precision at that recall or beyond. */
  readonly precision: readonly number[];
  /** Share of the objects found. */
  readonly recall: readonly number[];
}

/** Smallest step above 1, which keeps pycocotools' division from 0 / 0. */
const EPSILON = 2 ** -52;

/**
 * Precision and recall along the detections of all images, best score first, as pycocotools accumulates them; there is
 * at least one object to be found.
 */
export function accumulate({ matched, ignored, positives }: Matches): Curve {
  const precisions = new Float64Array(matched.length);
  const recalls = new Float64Array(matched.length);
  const precision: number[] = [];
  const recall: number[] = [];
  for (const t of iouThresholds.keys()) {
    const bit = 1 << t;
    let hits = 0;
    let misses = 0;
    for (let i = 0; i < matched.length; i++) {
      if ((ignored[i]! & bit) === 0) {
        if ((matched[i]! & bit) === 0) misses++;
        else hits++;
      }
      recalls[i] = hits / positives;
      precisions[i] = hits / (misses + hits + EPSILON);
    }
    recall.push(hits / positives);
    const levels = precisionAtRecall(precisions, recalls);
    precision.push(levels.reduce((sum, value) => sum + value, 0) / levels.length);
  }
  return { precision, recall };
}

/**
 * The highest precision at each recall level or beyond it; 0 at levels never reached. Both arrays follow the detections, best
 * first; `precisions` is changed.
 */
export function precisionAtRecall(precisions: Float64Array, recalls: Float64Array): number[] {
  for (let i = precisions.length - 1; i > 0; i--) {
    if (precisions[i]! > precisions[i - 1]!) precisions[i - 1] = precisions[i]!;
  }
  let at = 0;
  return recallLevels.map((level) => {
    while (at < recalls.length && recalls[at]! < level) at++;
    return precisions[at] ?? 0;
  });
}
