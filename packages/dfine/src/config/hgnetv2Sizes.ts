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

/** Widths inside the stem and after it, convolutions of a block, and of each stage widths inside and after it, and blocks. */
interface Sizes {
  readonly stem: readonly [mid: number, out: number];
  readonly layers: number;
  readonly mid: readonly number[];
  readonly out: readonly number[];
  readonly blocks: readonly number[];
}

/** Stages 1 and 2 use dense 3x3 convolutions, stages 3 and 4 light 5x5 ones; all but the first halve the size. */
function sized({ stem, layers, mid, out, blocks }: Sizes): Pick<HgNetV2Config, "stem" | "stages"> {
  const stage = (count: number, i: number): HgStageConfig => ({
    ...{ in: out[i - 1] ?? stem[1], mid: mid[i]!, out: out[i]!, blocks: count, layers },
    ...{ downsample: i > 0, light: i >= 2, kernel: i >= 2 ? 5 : 3 },
  });
  return { stem: { mid: stem[0], out: stem[1] }, stages: blocks.map(stage) };
}

export const HGNETV2 = {
  B0: sized({ stem: [16, 16], layers: 3, mid: [16, 32, 64, 128], out: [64, 256, 512, 1024], blocks: [1, 1, 2, 1] }),
  B2: sized({ stem: [24, 32], layers: 4, mid: [32, 64, 128, 256], out: [96, 384, 768, 1536], blocks: [1, 1, 3, 1] }),
  B4: sized({ stem: [32, 48], layers: 6, mid: [48, 96, 192, 384], out: [128, 512, 1024, 2048], blocks: [1, 1, 3, 1] }),
  B5: sized({ stem: [32, 64], layers: 6, mid: [64, 128, 256, 512], out: [128, 512, 1024, 2048], blocks: [1, 2, 5, 2] }),
} as const;
