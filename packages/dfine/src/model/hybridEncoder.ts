import { Module, MultiHeadAttention } from "@dfine/nn";
import { concat, type Tensor, tensor, upsampleNearest } from "@dfine/tensor";
import * as z from "zod";
import { count, size } from "../config/numbers.ts";
import { ConvNorm, VggBlock } from "./convNorm.ts";
import { DOWNSAMPLES, ENCODER_BLOCKS, type EncoderBlock } from "./encoderBlocks.ts";
import { EncoderLayer } from "./encoderLayer.ts";
import { LevelCache } from "./levelCache.ts";
import { broken, choiceOf, type Encoder, type Level, type Part, type Plan } from "./parts.ts";
import { positionEmbedding, positionOps } from "./positionEmbedding.ts";

const schema = z.strictObject({
  type: z.literal("hybrid"),
  hiddenDim: size,
  feedForwardDim: size,
  heads: size,
  /** Transformer layers on each level of `transformerLevels`. */
  layers: count,
  /** Positions in the list of levels, finest 0. */
  transformerLevels: z.array(count),
  positionTemperature: z.number().positive(),
  block: choiceOf(ENCODER_BLOCKS),
  /** How a map is halved on the way to the coarser ones. */
  downsample: choiceOf(DOWNSAMPLES).default("scdown"),
  /** Inner width of a block relative to `hiddenDim`; see `elanWidth`. */
  expansion: z.number().positive(),
  /** Depth of a block relative to 3; see `repBlocks`. */
  depthMult: z.number().positive(),
});
type EncoderConfig = z.infer<typeof schema>;

/** Attention within one map [B, E, H, W] (AIFI of RT-DETR). */
class MapAttention extends Module<[x: Tensor], Tensor> {
  readonly layers: EncoderLayer<MultiHeadAttention>[];
  readonly #positions: LevelCache<[Tensor]>;

  constructor(config: EncoderConfig) {
    super();
    const { hiddenDim: features, heads, feedForwardDim, positionTemperature: temperature } = config;
    this.layers = Array.from(
      { length: config.layers },
      () =>
        new EncoderLayer(new MultiHeadAttention(features, heads), {
          hiddenDim: features,
          feedForwardDim,
          activation: "gelu",
        }),
    );
    this.#positions = new LevelCache(
      ([size]) => {
        const { height, width } = size!;
        return [tensor(positionEmbedding(size!, features, temperature), [1, height * width, features])];
      },
      ([size]) => [positionOps(size!, features, temperature)],
    );
  }

  protected forward(x: Tensor): Tensor {
    const [position] = this.#positions.get([{ height: x.shape[2]!, width: x.shape[3]! }]);
    const tokens = x.flatten(2).transpose(1, 2);
    const attended = this.layers.reduce(
      (y, layer) => layer.call(y, (attention) => attention.call({ query: y.add(position), value: y })),
      tokens,
    );
    return attended.transpose(1, 2).reshape(x.shape);
  }

  override dispose(): void {
    super.dispose();
    this.#positions[Symbol.dispose]();
  }
}

/** Maps of the backbone → maps of `hiddenDim` channels of the same sizes, finest first: attention on the coarsest, then FPN and PAN. */
export class HybridEncoder extends Module<[maps: readonly Tensor[]], Tensor[]> {
  readonly inputProj: ConvNorm[];
  readonly encoder: MapAttention[];
  readonly lateralConvs: ConvNorm[];
  readonly fpnBlocks: EncoderBlock[];
  readonly downsampleConvs: Module<[x: Tensor], Tensor>[];
  readonly panBlocks: EncoderBlock[];
  readonly #transformerLevels: readonly number[];

  constructor(levels: readonly Level[], config: EncoderConfig) {
    super();
    const { hiddenDim } = config;
    const steps = levels.slice(1);
    this.inputProj = levels.map(({ channels }) => new ConvNorm(channels, hiddenDim, { kernel: 1 }));
    this.encoder = config.layers > 0 ? config.transformerLevels.map(() => new MapAttention(config)) : [];
    this.lateralConvs = steps.map(() => new ConvNorm(hiddenDim, hiddenDim, { kernel: 1 }));
    this.fpnBlocks = steps.map(() => ENCODER_BLOCKS[config.block](config));
    this.downsampleConvs = steps.map(() => DOWNSAMPLES[config.downsample](hiddenDim));
    this.panBlocks = steps.map(() => ENCODER_BLOCKS[config.block](config));
    this.#transformerLevels = config.transformerLevels;
  }

  protected forward(maps: readonly Tensor[]): Tensor[] {
    const projected = maps.map((map, i) => this.inputProj[i]!.call(map));
    this.encoder.forEach((attention, i) => {
      const level = this.#transformerLevels[i]!;
      projected[level] = attention.call(projected[level]!);
    });
    return this.#bottomUp(this.#topDown(projected));
  }

  /** From the coarsest map to the finest. Coarser maps go on as their lateral convolutions left them. */
  #topDown(projected: readonly Tensor[]): Tensor[] {
    const coarse: Tensor[] = [];
    let current = projected.at(-1)!;
    for (const [j, lateralConv] of this.lateralConvs.entries()) {
      const lateral = lateralConv.call(current);
      coarse.unshift(lateral);
      const [block, fine] = [this.fpnBlocks[j]!, projected.at(-2 - j)!];
      current = this.training ? block.call(fine, lateral) : block.call(concat([upsampleNearest(lateral), fine], 1));
    }
    return [current, ...coarse];
  }

  #bottomUp(maps: readonly Tensor[]): Tensor[] {
    const outputs = [maps[0]!];
    for (const [i, block] of this.panBlocks.entries()) {
      const down = this.downsampleConvs[i]!.call(outputs[i]!);
      outputs.push(block.call(concat([down, maps[i + 1]!], 1)));
    }
    return outputs;
  }

  /** Joins convolutions with their norms, except those that project the backbone's maps. */
  fuse(): void {
    for (const list of [this.lateralConvs, this.fpnBlocks, this.downsampleConvs, this.panBlocks])
      for (const module of list) fuseAll(module);
  }
}

function fuseAll(module: Module): void {
  if (module instanceof ConvNorm || module instanceof VggBlock) module.fuse();
  else for (const [, child] of module.children()) fuseAll(child);
}

function problems({ transformerLevels, hiddenDim, heads }: EncoderConfig, levels: number): string[] {
  const known = transformerLevels.every((level) => level < levels);
  const divides = hiddenDim % heads === 0 && hiddenDim % 4 === 0;
  return broken([
    [known, `model.encoder.transformerLevels [${transformerLevels}] name levels beyond the ${levels} there are`],
    [divides, `model.encoder.hiddenDim ${hiddenDim} must be a multiple of 4 and of ${heads} heads`],
  ]);
}

export const hybrid: Part<typeof schema, Plan<readonly Level[], Encoder>> = {
  schema,
  defaults: (levels) => ({
    type: "hybrid",
    ...{ hiddenDim: 256, feedForwardDim: 1024, heads: 8, layers: 1, transformerLevels: [levels - 1] },
    ...{ positionTemperature: 10000, block: "gelan", downsample: "scdown", expansion: 1, depthMult: 1 },
  }),
  plan: (config) => ({
    problems: (levels) => problems(config, levels.length),
    levels: (levels) => levels.map(({ stride }) => ({ channels: config.hiddenDim, stride })),
    make: (levels) => new HybridEncoder(levels, config),
  }),
};
