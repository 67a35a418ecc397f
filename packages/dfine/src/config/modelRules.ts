import type { ModelConfig } from "./config.ts";
import { evalLayerIndex } from "./derived.ts";

/** What does not go together in a model whose values are each all right, for messages; empty where all does. */
export function brokenModelRules({ backbone, encoder, decoder }: ModelConfig): string[] {
  const levels = backbone.returnStages.length;
  const last = evalLayerIndex(decoder);
  const rules: [holds: boolean, problem: string][] = [
    [
      backbone.returnStages.every((stage) => stage < backbone.stages.length),
      `model.backbone.returnStages [${backbone.returnStages}] name stages beyond the ${backbone.stages.length} there are`,
    ],
    [
      decoder.points.length === levels,
      `model.decoder.points has ${decoder.points.length} entries for ${levels} levels; give one for each`,
    ],
    [
      encoder.transformerLevels.every((level) => level < levels),
      `model.encoder.transformerLevels [${encoder.transformerLevels}] name levels beyond the ${levels} there are`,
    ],
    [
      encoder.hiddenDim % encoder.heads === 0 && encoder.hiddenDim % 4 === 0,
      `model.encoder.hiddenDim ${encoder.hiddenDim} must be a multiple of 4 and of ${encoder.heads} heads`,
    ],
    [
      decoder.hiddenDim % decoder.heads === 0,
      `model.decoder.hiddenDim ${decoder.hiddenDim} must be a multiple of ${decoder.heads} heads`,
    ],
    [
      last >= 0 && last < decoder.layers,
      `model.decoder.evalLayer ${decoder.evalLayer} is none of the ${decoder.layers} layers`,
    ],
  ];
  return rules.filter(([holds]) => !holds).map(([, problem]) => problem);
}
