import * as z from "zod";
import { count, size } from "./numbers.ts";

/** One stage of HGNetv2: an optional stride-2 downsampling, then `blocks` blocks of `layers` convolutions. */
const stageSchema = z.strictObject({
  in: size,
  mid: size,
  out: size,
  blocks: size,
  layers: size,
  downsample: z.boolean(),
  /** A 1x1 convolution followed by a depthwise one instead of one dense convolution. */
  light: z.boolean(),
  kernel: size,
});

export const hgNetV2Schema = z.strictObject({
  type: z.literal("hgnetv2"),
  stem: z.strictObject({ mid: size, out: size }),
  stages: z.array(stageSchema).min(1),
  /** A learnable scale and bias after each activation. */
  learnableAffine: z.boolean(),
  /** Stages whose outputs go on to the encoder, finest first. */
  returnStages: z.array(count).min(1),
  /** -1: nothing; 0: the stem; k: the stem and, without `freezeStemOnly`, the first k + 1 stages. */
  freezeAt: z.int().min(-1),
  freezeStemOnly: z.boolean(),
  /** Batch norm with fixed statistics and no parameters. */
  freezeNorm: z.boolean(),
});

export type HgNetV2Config = z.infer<typeof hgNetV2Schema>;
export type HgStageConfig = HgNetV2Config["stages"][number];

type StageRow = readonly [input: number, mid: number, out: number, blocks: number, layers: number];

/** Stages 1 and 2 use dense 3x3 convolutions, stages 3 and 4 light 5x5 ones; all but the first halve the size. */
function stage([input, mid, out, blocks, layers]: StageRow, index: number): HgStageConfig {
  const light = index >= 2;
  return { in: input, mid, out, blocks, layers, downsample: index > 0, light, kernel: light ? 5 : 3 };
}

function row(mid: number, out: number, stages: readonly StageRow[]): Pick<HgNetV2Config, "stem" | "stages"> {
  return { stem: { mid, out }, stages: stages.map(stage) };
}

/** Widths and depths of the HGNetv2 backbones that the presets use. */
export const HGNETV2 = {
  B0: row(16, 16, [
    [16, 16, 64, 1, 3],
    [64, 32, 256, 1, 3],
    [256, 64, 512, 2, 3],
    [512, 128, 1024, 1, 3],
  ]),
  B2: row(24, 32, [
    [32, 32, 96, 1, 4],
    [96, 64, 384, 1, 4],
    [384, 128, 768, 3, 4],
    [768, 256, 1536, 1, 4],
  ]),
  B4: row(32, 48, [
    [48, 48, 128, 1, 6],
    [128, 96, 512, 1, 6],
    [512, 192, 1024, 3, 6],
    [1024, 384, 2048, 1, 6],
  ]),
  B5: row(32, 64, [
    [64, 64, 128, 1, 6],
    [128, 128, 512, 2, 6],
    [512, 256, 1024, 5, 6],
    [1024, 512, 2048, 2, 6],
  ]),
} as const;
