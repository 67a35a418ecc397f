import { split, type Tensor } from "@dfine/tensor";
import type { LayerOutputs } from "./decoderPass.ts";
import type { DenoisingQueries, PredictionSet, TrainingOutputs } from "./outputs.ts";

/** The first `first` queries of a set, and the others. */
function parted(
  { logits, boxes, corners, refPoints, features }: PredictionSet,
  first: number,
): [PredictionSet, PredictionSet] {
  const cut = (x: Tensor | undefined): Tensor[] => (x ? split(x, [first, x.shape[1]! - first], 1) : []);
  const pieces = { logits: cut(logits), boxes: cut(boxes), corners: cut(corners), refPoints: cut(refPoints) };
  const queries = cut(features);
  const part = (i: 0 | 1): PredictionSet => ({
    logits: pieces.logits[i]!,
    boxes: pieces.boxes[i]!,
    ...(corners ? { corners: pieces.corners[i]! } : {}),
    ...(refPoints ? { refPoints: pieces.refPoints[i]! } : {}),
    ...(features ? { features: queries[i]! } : {}),
  });
  return [part(0), part(1)];
}

/** The sets with what the last of them teaches. */
function taught(sets: readonly PredictionSet[]): PredictionSet[] {
  const { boxes: _, refPoints: __, ...teacher } = sets.at(-1)!;
  return sets.map((set) => ({ ...set, teacher }));
}

/** Sorts the decoder's predictions for M = Qdn + Q queries, denoising ones first, into what the criterion judges. */
export function trainingOutputs(
  { layers, pre }: LayerOutputs,
  proposed: Pick<TrainingOutputs, "enc" | "tokens">,
  denoising: DenoisingQueries | undefined,
): TrainingOutputs {
  const judged = (sets: readonly PredictionSet[], pre: PredictionSet | undefined): TrainingOutputs => ({
    last: sets.at(-1)!,
    aux: taught(sets).slice(0, -1),
    ...proposed,
    ...(pre ? { pre } : {}),
  });
  if (!denoising?.numQueries) return judged(layers, pre);
  const { numQueries, positives, groups, negatives } = denoising;
  const parts = layers.map((set) => parted(set, numQueries));
  const [noisyPre, ordinaryPre] = pre ? parted(pre, numQueries) : [];
  const noisy = parts.map(([first]) => first);
  const ordinary = parts.map(([, second]) => second);
  return {
    ...judged(ordinary, ordinaryPre),
    dn: { layers: taught(noisy), ...(noisyPre ? { pre: noisyPre } : {}), positives, groups, negatives },
  };
}
