import { BatchNorm2d, Conv2d, FrozenBatchNorm2d, Module, normalInit } from "@dfine/nn";
import { defineMap, maxPool2d, type Tensor } from "@dfine/tensor";
import * as z from "zod";
import { count } from "../config/numbers.ts";
import { normedConv } from "./convNorm.ts";
import { type Backbone, beyond, type Part, type Plan } from "./parts.ts";

const schema = z.strictObject({
  type: z.literal("resnet50"),
  /** Stages whose outputs go on to the encoder, finest first: 1, 2, 3 are C3, C4, C5. */
  returnStages: z.array(count).min(1),
  /** -1: nothing; 0: the stem; k: the stem and the first k stages. */
  freezeAt: z.int().min(-1),
  /** Batch norm with fixed statistics and no parameters. */
  freezeNorm: z.boolean(),
});

/** Channels of the stem, and blocks of each stage. */
export interface ResNetSize {
  readonly width: number;
  readonly blocks: readonly number[];
}
const RESNET50: ResNetSize = { width: 64, blocks: [3, 4, 6, 3] };
/** Channels that a block hands on, relative to those inside it. */
const EXPANSION = 4;

/** Without bias; He et al. 2015 for ReLU, by the outputs. */
const conv = (inChannels: number, outChannels: number, shape: { kernel: number; stride?: number }): Conv2d =>
  new Conv2d(inChannels, outChannels, {
    ...{ ...shape, padding: Math.floor(shape.kernel / 2) },
    weightInit: normalInit(Math.sqrt(2 / (outChannels * shape.kernel ** 2))),
  });

type Norm = BatchNorm2d | FrozenBatchNorm2d;
const RELU = { activation: "relu" } as const;
const reluOfSum = defineMap("reluOfSum", (a, b) => a.add(b).max(0));

/** 1x1, 3x3 with the stride, 1x1, and a shortcut, each convolution with a norm: x [B, in, H, W] → [B, 4 · mid, H', W']. */
export class Bottleneck extends Module<[x: Tensor], Tensor> {
  readonly conv1: Conv2d;
  readonly bn1: Norm;
  readonly conv2: Conv2d;
  readonly bn2: Norm;
  readonly conv3: Conv2d;
  readonly bn3: Norm;
  protected override readonly isBlock = true;
  /** A convolution and a norm, where the shortcut changes the shape. */
  readonly downsample: readonly [Conv2d, Norm] | undefined;

  constructor(inChannels: number, mid: number, { stride, norm }: { stride: number; norm: (channels: number) => Norm }) {
    super();
    const out = EXPANSION * mid;
    this.conv1 = conv(inChannels, mid, { kernel: 1 });
    this.bn1 = norm(mid);
    this.conv2 = conv(mid, mid, { kernel: 3, stride });
    this.bn2 = norm(mid);
    this.conv3 = conv(mid, out, { kernel: 1 });
    this.bn3 = norm(out);
    this.downsample =
      stride === 1 && inChannels === out ? undefined : [conv(inChannels, out, { kernel: 1, stride }), norm(out)];
  }

  protected forward(x: Tensor): Tensor {
    const first = normedConv(x, { conv: this.conv1, norm: this.bn1 }, RELU);
    const second = normedConv(first, { conv: this.conv2, norm: this.bn2 }, RELU);
    const third = normedConv(second, { conv: this.conv3, norm: this.bn3 });
    const [shortcut, norm] = this.downsample ?? [];
    return reluOfSum(third, shortcut && norm ? normedConv(x, { conv: shortcut, norm }) : x);
  }
}

/**
 * Images [B, 3, H, W] → maps of the stages in `returnStages`, finest first. ResNet (He et al. 2016) with the stride in the
 * 3x3 convolutions and the state-dict names of torchvision.
 */
export class ResNet extends Module<[images: Tensor], Tensor[]> {
  readonly conv1: Conv2d;
  readonly bn1: Norm;
  readonly layer1: Bottleneck[];
  readonly layer2: Bottleneck[];
  readonly layer3: Bottleneck[];
  readonly layer4: Bottleneck[];
  readonly #returnStages: readonly number[];

  constructor(config: z.infer<typeof schema>, { width, blocks }: ResNetSize = RESNET50) {
    super();
    const norm = (channels: number): Norm =>
      config.freezeNorm ? new FrozenBatchNorm2d(channels) : new BatchNorm2d(channels);
    const stage = (index: number): Bottleneck[] => {
      const mid = width << index;
      const input = index === 0 ? width : (EXPANSION * mid) / 2;
      return Array.from(
        { length: blocks[index]! },
        (_, i) =>
          new Bottleneck(i === 0 ? input : EXPANSION * mid, mid, { stride: i === 0 && index > 0 ? 2 : 1, norm }),
      );
    };
    this.conv1 = conv(3, width, { kernel: 7, stride: 2 });
    this.bn1 = norm(width);
    this.layer1 = stage(0);
    this.layer2 = stage(1);
    this.layer3 = stage(2);
    this.layer4 = stage(3);
    this.#returnStages = config.returnStages;
    const parts = [[this.conv1, this.bn1], ...this.#stages];
    for (const part of parts.slice(0, config.freezeAt + 1)) for (const module of part) module.freeze();
  }

  get #stages(): Bottleneck[][] {
    return [this.layer1, this.layer2, this.layer3, this.layer4];
  }

  protected forward(images: Tensor): Tensor[] {
    let x = normedConv(images, { conv: this.conv1, norm: this.bn1 }, RELU);
    x = maxPool2d(x, 3, { stride: 2, padding: 1 });
    const outputs = this.#stages.map((blocks) => (x = blocks.reduce((y, block) => block.call(y), x)));
    return this.#returnStages.map((stage) => outputs[stage]!);
  }
}

export const resnet50: Part<typeof schema, Plan<void, Backbone>> = {
  schema,
  defaults: (levels) => ({
    type: "resnet50",
    returnStages: [0, 1, 2, 3].slice(-levels),
    ...{ freezeAt: -1, freezeNorm: false },
  }),
  plan: (config) => ({
    problems: () => beyond(config.returnStages, RESNET50.blocks.length),
    levels: () =>
      config.returnStages.map((stage) => ({
        channels: (EXPANSION * RESNET50.width) << stage,
        stride: 4 << stage,
      })),
    make: () => new ResNet(config),
  }),
};
