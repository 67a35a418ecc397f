import { Module, Sequential } from "@dfine/nn";
import { concat, maxPool2d, pad2d, type Tensor } from "@dfine/tensor";
import { HGNETV2, type HgNetV2Config, type HgStageConfig, hgNetV2Schema } from "../config/hgnetv2Sizes.ts";
import { ConvNorm, type ConvNormOptions } from "./convNorm.ts";
import { type Backbone, beyond, type Level, type Part, type Plan } from "./parts.ts";

/** What all convolutions of a backbone have in common. */
type Style = Required<Pick<ConvNormOptions, "normName" | "activation" | "freezeNorm" | "learnableAffine">>;

/** Without activation, and so without an affine block after it. */
const bare = (style: Style): Style => ({ ...style, activation: "identity", learnableAffine: false });

/** 1x1 convolution without activation, then a depthwise one. */
const lightConv = (inChannels: number, outChannels: number, { kernel, ...style }: { kernel: number } & Style) =>
  new Sequential({
    conv1: new ConvNorm(inChannels, outChannels, { kernel: 1, ...bare(style) }),
    conv2: new ConvNorm(outChannels, outChannels, { kernel, groups: outChannels, ...style }),
  });

/** A row below and a column to the right, so that a 2x2 window keeps the size. */
const padForTwo = (x: Tensor): Tensor => pad2d(x, [0, 0, 1, 1]);

/** [B, 3, H, W] → [B, out, H/4, W/4]. */
class Stem extends Module<[x: Tensor], Tensor> {
  readonly stem1: ConvNorm;
  readonly stem2a: ConvNorm;
  readonly stem2b: ConvNorm;
  readonly stem3: ConvNorm;
  readonly stem4: ConvNorm;
  protected override readonly isBlock = true;

  constructor({ mid, out }: HgNetV2Config["stem"], style: Style) {
    super();
    const half = Math.floor(mid / 2);
    this.stem1 = new ConvNorm(3, mid, { kernel: 3, stride: 2, ...style });
    this.stem2a = new ConvNorm(mid, half, { kernel: 2, ...style });
    this.stem2b = new ConvNorm(half, mid, { kernel: 2, ...style });
    this.stem3 = new ConvNorm(2 * mid, mid, { kernel: 3, stride: 2, ...style });
    this.stem4 = new ConvNorm(mid, out, { kernel: 1, ...style });
  }

  protected forward(images: Tensor): Tensor {
    const x = padForTwo(this.stem1.call(images));
    const pooled = maxPool2d(x, 2, { stride: 1, ceilMode: true });
    const convolved = this.stem2b.call(padForTwo(this.stem2a.call(x)));
    return this.stem4.call(this.stem3.call(concat([pooled, convolved], 1)));
  }
}

/** Convolutions in a row whose inputs and outputs are all aggregated by two 1x1 convolutions. */
class HgBlock extends Module<[x: Tensor], Tensor> {
  readonly layers: Module<[x: Tensor], Tensor>[];
  readonly aggregation: Sequential;
  protected override readonly isBlock = true;
  readonly #residual: boolean;

  constructor(inChannels: number, stage: HgStageConfig, { residual, ...style }: { residual: boolean } & Style) {
    super();
    const { mid, out, layers, light, kernel } = stage;
    const half = Math.floor(out / 2);
    const unit = (input: number) =>
      light ? lightConv(input, mid, { kernel, ...style }) : new ConvNorm(input, mid, { kernel, ...style });
    this.layers = Array.from({ length: layers }, (_, i) => unit(i === 0 ? inChannels : mid));
    this.aggregation = new Sequential([
      new ConvNorm(inChannels + layers * mid, half, { kernel: 1, ...style }),
      new ConvNorm(half, out, { kernel: 1, ...style }),
    ]);
    this.#residual = residual;
  }

  protected forward(x: Tensor): Tensor {
    const outputs = [x];
    for (const layer of this.layers) outputs.push(layer.call(outputs.at(-1)!));
    const y = this.aggregation.call(concat(outputs, 1));
    return this.#residual ? y.add(x) : y;
  }
}

function hgStage(stage: HgStageConfig, style: Style): Sequential {
  const { in: inChannels, out, blocks, downsample } = stage;
  const halving = { kernel: 3, stride: 2, groups: inChannels, ...bare(style) };
  const block = (_: unknown, i: number) =>
    new HgBlock(i === 0 ? inChannels : out, stage, { residual: i > 0, ...style });
  return new Sequential({
    downsample: downsample ? new ConvNorm(inChannels, inChannels, halving) : undefined,
    blocks: new Sequential(Array.from({ length: blocks }, block)),
  });
}

/** Images [B, 3, H, W] (RGB / 255) → maps of the stages in `returnStages`, finest first. PP-HGNetV2. */
export class HgNetV2 extends Module<[images: Tensor], Tensor[]> {
  readonly stem: Stem;
  readonly stages: Sequential[];
  readonly #returnStages: readonly number[];

  constructor(config: HgNetV2Config) {
    super();
    const { freezeNorm, learnableAffine } = config;
    const style: Style = { normName: "bn", activation: "relu", freezeNorm, learnableAffine };
    this.stem = new Stem(config.stem, style);
    this.stages = config.stages.map((stage) => hgStage(stage, style));
    this.#returnStages = config.returnStages;
    if (config.freezeAt < 0) return;
    this.stem.freeze();
    if (!config.freezeStemOnly) for (const stage of this.stages.slice(0, config.freezeAt + 1)) stage.freeze();
  }

  protected forward(images: Tensor): Tensor[] {
    let x = this.stem.call(images);
    const outputs = this.stages.map((stage) => (x = stage.call(x)));
    return this.#returnStages.map((stage) => outputs[stage]!);
  }
}

/** The first stage halves nothing: it gets a quarter of the image from the stem. */
function levels({ stages, returnStages }: HgNetV2Config): Level[] {
  const halvings = (stage: number) => stages.slice(0, stage + 1).filter(({ downsample }) => downsample).length;
  // A power computed by ** is kept as a fraction by V8, and so would be all shapes that follow from it.
  return returnStages.map((stage) => ({ channels: stages[stage]!.out, stride: 4 << halvings(stage) }));
}

export const hgNetV2: Part<typeof hgNetV2Schema, Plan<void, Backbone>> = {
  schema: hgNetV2Schema,
  defaults: (levels) => ({
    type: "hgnetv2",
    ...HGNETV2.B0,
    learnableAffine: true,
    returnStages: [0, 1, 2, 3].slice(-levels),
    ...{ freezeAt: -1, freezeStemOnly: true, freezeNorm: false },
  }),
  plan: (config) => ({
    problems: () => beyond(config.returnStages, config.stages.length),
    levels: () => levels(config),
    make: () => new HgNetV2(config),
  }),
};
