import type { SliceRange, Tensor } from "@dfine/tensor";
import type { DecoderStackOutput } from "./decoderStack.ts";
import type { DenoisingQueries } from "./denoising.ts";
import type { PredictionSet, TrainingOutputs } from "./outputs.ts";

/** A range of the queries of a set. */
function queriesOf(set: PredictionSet, range: SliceRange): PredictionSet {
  const cut = (x: Tensor): Tensor => x.slice([null, range]);
  const { logits, boxes, corners, refPoints } = set;
  return {
    logits: cut(logits),
    boxes: cut(boxes),
    ...(corners ? { corners: cut(corners) } : {}),
    ...(refPoints ? { refPoints: cut(refPoints) } : {}),
  };
}

/** The sets with what the last of them teaches, where edges are distributions. */
function taught(sets: readonly PredictionSet[]): PredictionSet[] {
  const { logits, corners } = sets.at(-1)!;
  return sets.map((set) => (corners ? { ...set, teacher: { logits, corners } } : set));
}

/** Sorts the decoder's predictions for M = Qdn + Q queries, denoising ones first, into what the criterion judges. */
export function trainingOutputs(
  { layers, pre }: DecoderStackOutput,
  enc: PredictionSet,
  denoising: DenoisingQueries | undefined,
): TrainingOutputs {
  const first = denoising?.numQueries ?? 0;
  const ordinary = (set: PredictionSet) => (first === 0 ? set : queriesOf(set, { start: first }));
  const sets = layers.map(ordinary);
  const outputs: TrainingOutputs = {
    last: sets.at(-1)!,
    aux: taught(sets).slice(0, -1),
    enc: [enc],
    ...(pre ? { pre: ordinary(pre) } : {}),
  };
  if (!denoising || first === 0) return outputs;
  const noisy = (set: PredictionSet) => queriesOf(set, { end: first });
  const { positives, groups } = denoising;
  return {
    ...outputs,
    dn: { layers: taught(layers.map(noisy)), ...(pre ? { pre: noisy(pre) } : {}), positives, groups },
  };
}
