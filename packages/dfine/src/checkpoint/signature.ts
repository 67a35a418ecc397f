import type { SafetensorsEntry } from "@dfine/nn";
import type { ModelConfig } from "../config/config.ts";
import { elanWidth, featureChannels, repBlocks } from "../config/derived.ts";

type Named = readonly [name: string, shape: readonly number[]];

/** Tensors of a file by name; only names and shapes matter here. */
export type Shapes = ReadonlyMap<string, Pick<SafetensorsEntry, "shape">>;

/** A tensor of which file and configuration have different ideas. */
export interface Difference {
  readonly name: string;
  /** Undefined: the file lacks it. */
  readonly inFile: readonly number[] | undefined;
  readonly expected: readonly number[];
}

/**
 * Tensors that fix every width and depth of an architecture. They are named one by one, so that a configuration whose
 * numbers have nothing to do with the file is found out at the first of them.
 */
function* signature(config: ModelConfig): Generator<Named> {
  const { backbone, encoder, decoder } = config;
  const { stem } = backbone;
  yield ["backbone.stem.stem1.conv.weight", [stem.mid, 3, 3, 3]];
  yield ["backbone.stem.stem4.conv.weight", [stem.out, stem.mid, 1, 1]];
  for (const [s, stage] of backbone.stages.entries()) yield* stageSignature(`backbone.stages.${s}`, stage);
  for (const [i, channels] of featureChannels(backbone).entries())
    yield [`encoder.input_proj.${i}.conv.weight`, [encoder.hiddenDim, channels, 1, 1]];
  yield* encoderSignature(encoder, backbone.returnStages.length);
  const points = decoder.points.reduce((sum, count) => sum + count, 0);
  for (let l = 0; l < decoder.layers; l++) {
    yield [`decoder.decoder.layers.${l}.linear1.weight`, [decoder.feedForwardDim, decoder.hiddenDim]];
    yield [`decoder.decoder.layers.${l}.cross_attn.num_points_scale`, [points]];
    yield [
      `decoder.dec_bbox_head.${l}.layers.2.weight`,
      [decoder.boxHead === "distribution" ? 4 * (decoder.regMax + 1) : 4, decoder.hiddenDim],
    ];
  }
}

function* stageSignature(at: string, stage: ModelConfig["backbone"]["stages"][number]): Generator<Named> {
  for (let b = 0; b < stage.blocks; b++) {
    const input = b === 0 ? stage.in : stage.out;
    for (let l = 0; l < stage.layers; l++) {
      const channels = l === 0 ? input : stage.mid;
      const layer = `${at}.blocks.${b}.layers.${l}`;
      if (stage.light) yield [`${layer}.conv1.conv.weight`, [stage.mid, channels, 1, 1]];
      yield stage.light
        ? [`${layer}.conv2.conv.weight`, [stage.mid, 1, stage.kernel, stage.kernel]]
        : [`${layer}.conv.weight`, [stage.mid, channels, stage.kernel, stage.kernel]];
    }
    yield [`${at}.blocks.${b}.aggregation.1.conv.weight`, [stage.out, Math.floor(stage.out / 2), 1, 1]];
  }
}

function* encoderSignature(encoder: ModelConfig["encoder"], levels: number): Generator<Named> {
  const { hiddenDim, feedForwardDim } = encoder;
  for (const i of encoder.transformerLevels.keys())
    for (let l = 0; l < encoder.layers; l++)
      yield [`encoder.encoder.${i}.layers.${l}.linear1.weight`, [feedForwardDim, hiddenDim]];
  const isGelan = encoder.block === "gelan";
  const width = isGelan ? elanWidth(encoder) : Math.floor(hiddenDim * encoder.expansion);
  for (let j = 0; j + 1 < levels; j++) {
    const block = `encoder.fpn_blocks.${j}`;
    if (isGelan) yield [`${block}.cv4.conv.weight`, [hiddenDim, 2 * hiddenDim + 2 * width, 1, 1]];
    for (let b = 0; b < repBlocks(encoder); b++)
      yield [`${block}.${isGelan ? "cv2.0." : ""}bottlenecks.${b}.conv1.conv.weight`, [width, width, 3, 3]];
  }
}

/** Where a file and a configuration differ in their architecture; at most `limit` places. */
export function architectureDifferences(shapes: Shapes, config: ModelConfig, limit = 1): Difference[] {
  const found: Difference[] = [];
  for (const [name, expected] of signature(config)) {
    if (found.length >= limit) break;
    const inFile = shapes.get(name)?.shape;
    if (inFile?.join() !== expected.join()) found.push({ name, inFile, expected });
  }
  return found;
}

/** Tokens of the size that a file's anchors were made for; undefined where it holds none. */
export const anchorCount = (shapes: Shapes): number | undefined => shapes.get("decoder.anchors")?.shape[1];
