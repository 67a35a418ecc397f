import { callable, checkOptions, flag, needed, type OptionRule, type OptionRules, thing } from "@dfine/tensor";
import type { CocoDataset } from "../data/dataset.ts";
import { type CocoResult, evaluateDetections } from "../evaluation/cocoEval.ts";
import type { Detection } from "../evaluation/detections.ts";
import { type Explanation, explainDetections } from "../evaluation/explain.ts";
import { abortSignal } from "../optionRules.ts";
import type { Detections } from "../postprocess.ts";
import type { Predictor } from "../predictor.ts";
import type { BatchSource } from "./batch.ts";

/** What an evaluation found and how good it is. */
export interface Evaluation {
  readonly result: CocoResult;
  /** In pixels of the original images. */
  readonly detections: readonly Detection[];
  /** What scores mean and where detections err, at the best threshold. */
  readonly explanation: Explanation;
  /** The twelve numbers of each decoder layer, first to last, as if the model ended there; where the predictor tells of them. */
  readonly layers?: readonly CocoResult["stats"][];
}

/** What an evaluation compares with. */
export interface EvaluateOptions {
  readonly dataset: CocoDataset;
  /** COCO category id of each class; undefined: the data set does not have it. Default: the data set's categories in order. */
  readonly categoryIds?: readonly (number | undefined)[];
  /** Whether categories do not matter. Default false. */
  readonly classAgnostic?: boolean;
  /** Told after each batch how many images are done. */
  readonly onBatch?: (done: number) => void;
  readonly signal?: AbortSignal | undefined;
}

const list: OptionRule = { takes: "a list", fits: Array.isArray };
const OPTIONS: OptionRules<EvaluateOptions> = {
  ...{ dataset: needed(thing), categoryIds: list, classAgnostic: flag, onBatch: callable, signal: abortSignal },
};

/**
 * COCO evaluation of a predictor over all batches of a source.
 * @throws the signal's reason when it is aborted, ArgumentError for options
 */
export async function evaluate(predict: Predictor, source: BatchSource, options: EvaluateOptions): Promise<Evaluation> {
  checkOptions("evaluate", options, OPTIONS);
  const { dataset, onBatch, signal, classAgnostic = false } = options;
  const categoryIds = options.categoryIds ?? dataset.categories.map(({ id }) => id);
  const detections: Detection[] = [];
  const earlier: { readonly imageId: number; readonly found: Detections }[][] = [];
  let done = 0;
  for await (const batch of source.batches(0, { signal })) {
    const found = await predict(batch, signal);
    for (const [i, image] of found.entries()) {
      const imageId = batch.imageIds[i]!;
      detections.push(...toDetections(image, imageId, categoryIds));
      for (const [layer, found] of (image.earlier ?? []).entries()) {
        earlier[layer] ??= [];
        earlier[layer].push({ imageId, found });
      }
    }
    done += found.length;
    onBatch?.(done);
  }
  const result = evaluateDetections(dataset, detections, { classAgnostic });
  const explanation = explainDetections(dataset, detections, { classAgnostic });
  if (earlier.length === 0) return { result, detections, explanation };
  const layers = earlier.map((images) => {
    const ofLayer = images.flatMap(({ imageId, found }) => toDetections(found, imageId, categoryIds));
    return evaluateDetections(dataset, ofLayer, { classAgnostic }).stats;
  });
  return { result, detections, explanation, layers: [...layers, result.stats] };
}

function toDetections(
  { labels, boxes, scores }: Detections,
  imageId: number,
  categoryIds: readonly (number | undefined)[],
): Detection[] {
  return Array.from(labels).flatMap((label, i): Detection[] => {
    const categoryId = categoryIds[label];
    if (categoryId === undefined) return [];
    const [x1, y1, x2, y2] = boxes.subarray(4 * i, 4 * i + 4) as unknown as [number, number, number, number];
    return [{ imageId, categoryId, bbox: [x1, y1, x2 - x1, y2 - y1], score: scores[i]! }];
  });
}
