import type { CocoDataset } from "../data/dataset.ts";
import { USUAL_THRESHOLD } from "../result.ts";
import type { EvaluateDetectionsOptions } from "./cocoEval.ts";
import { type ConfidenceCurves, confidenceCurves } from "./confidence.ts";
import { type ConfusionMatrix, confusionMatrix } from "./confusion.ts";
import type { Detection } from "./detections.ts";
import { ofOneClass } from "./imageCategories.ts";
import { findMistakes, type Mistakes } from "./mistakes.ts";

/** What the score of detections means, and where they err. */
export interface Explanation {
  /** The score from which on detections count below: the one of the highest mean F1, or 0.5 where nothing was found. */
  readonly threshold: number;
  readonly curves: ConfidenceCurves;
  readonly confusion: ConfusionMatrix;
  readonly mistakes: Mistakes;
}

/** Of either kind of mistake. */
const MISTAKES_LISTED = 50;

/**
 * Curves over the score, with IoU 0.5, and at their best threshold the confusion matrix and the worst 50 mistakes of either
 * kind.
 * @throws DatasetError when a detection names an unknown image or holds a number that is not finite
 */
export function explainDetections(
  dataset: CocoDataset,
  detections: readonly Detection[],
  { classAgnostic = false }: EvaluateDetectionsOptions = {},
): Explanation {
  if (classAgnostic) return explainDetections(...ofOneClass(dataset, detections));
  const curves = confidenceCurves(dataset, detections);
  const threshold = curves.all.best?.threshold ?? USUAL_THRESHOLD;
  return {
    ...{ threshold, curves },
    confusion: confusionMatrix(dataset, detections, { threshold }),
    mistakes: findMistakes(dataset, detections, { threshold, most: MISTAKES_LISTED }),
  };
}
