import { Module, roundHalfEven, Sequential } from "@dfine/nn";
import { concat, split, type Tensor } from "@dfine/tensor";
import { ConvNorm, VggBlock } from "./convNorm.ts";

/** A block of maps x, whose first channels may come as a map of half the size in training: see `ConvNorm`. */
export type EncoderBlock = Module<[x: Tensor, coarse?: Tensor], Tensor>;

/** Two 1x1 branches, one followed by RepVGG blocks, added. A third convolution changes the width where it must. */
class CspLayer extends Module<[x: Tensor, coarse?: Tensor], Tensor> {
  readonly conv1: ConvNorm;
  readonly conv2: ConvNorm;
  readonly bottlenecks: Sequential;
  readonly conv3: ConvNorm | undefined;
  protected override readonly isBlock = true;

  constructor(inChannels: number, outChannels: number, options: { blocks: number; expansion?: number }) {
    super();
    const { blocks, expansion = 1 } = options;
    const hidden = Math.floor(outChannels * expansion);
    const conv = { kernel: 1, activation: "silu" } as const;
    this.conv1 = new ConvNorm(inChannels, hidden, conv);
    this.conv2 = new ConvNorm(inChannels, hidden, conv);
    this.bottlenecks = new Sequential(Array.from({ length: blocks }, () => new VggBlock(hidden)));
    this.conv3 = hidden === outChannels ? undefined : new ConvNorm(hidden, outChannels, conv);
  }

  protected forward(x: Tensor, coarse?: Tensor): Tensor {
    const y = this.bottlenecks.call(this.conv1.call(x, coarse)).add(this.conv2.call(x, coarse));
    return this.conv3?.call(y) ?? y;
  }
}

/** RepNCSPELAN4: half of the channels goes through two CSP layers, and everything on the way is joined. Wang et al. 2024. */
class RepNcspElan extends Module<[x: Tensor, coarse?: Tensor], Tensor> {
  readonly cv1: ConvNorm;
  readonly cv2: Sequential;
  readonly cv3: Sequential;
  readonly cv4: ConvNorm;
  protected override readonly isBlock = true;
  readonly #half: number;

  constructor(inChannels: number, outChannels: number, options: { wide: number; narrow: number; blocks: number }) {
    super();
    const { wide, narrow, blocks } = options;
    const pointwise = { kernel: 1, activation: "silu" } as const;
    const branch = (input: number) =>
      new Sequential([
        new CspLayer(input, narrow, { blocks }),
        new ConvNorm(narrow, narrow, { kernel: 3, activation: "silu" }),
      ]);
    this.#half = Math.floor(wide / 2);
    this.cv1 = new ConvNorm(inChannels, wide, pointwise);
    this.cv2 = branch(this.#half);
    this.cv3 = branch(narrow);
    this.cv4 = new ConvNorm(wide + 2 * narrow, outChannels, pointwise);
  }

  protected forward(x: Tensor, coarse?: Tensor): Tensor {
    const first = this.cv1.call(x, coarse);
    const [, half] = split(first, [this.#half, this.#half], 1) as [Tensor, Tensor];
    const second = this.cv2.call(half);
    return this.cv4.call(concat([first, second, this.cv3.call(second)], 1));
  }
}

/** What the size of an encoder block follows from. */
interface BlockSize {
  readonly hiddenDim: number;
  readonly expansion: number;
  readonly depthMult: number;
}

/** Inner width of an encoder block, c4 of RepNCSPELAN4. */
export const elanWidth = ({ expansion, hiddenDim }: BlockSize): number =>
  roundHalfEven(Math.floor((expansion * hiddenDim) / 2));

/** RepVGG blocks in each CSP layer of an encoder block. */
export const repBlocks = ({ depthMult }: BlockSize): number => roundHalfEven(3 * depthMult);

/** Fuses two maps of `hiddenDim` channels each, concatenated, into one. */
export const ENCODER_BLOCKS = {
  gelan: (config) =>
    new RepNcspElan(2 * config.hiddenDim, config.hiddenDim, {
      wide: 2 * config.hiddenDim,
      narrow: elanWidth(config),
      blocks: repBlocks(config),
    }),
  csp: (config) =>
    new CspLayer(2 * config.hiddenDim, config.hiddenDim, { blocks: repBlocks(config), expansion: config.expansion }),
} satisfies Record<string, (config: BlockSize) => EncoderBlock>;

/**
 * What halves a map of so many channels: a 1x1 convolution, then a depthwise one of stride 2, both without activation (SCDown); or
 * one full convolution, as in RT-DETR.
 */
export const DOWNSAMPLES = {
  scdown: (channels) =>
    new Sequential([
      new Sequential({
        cv1: new ConvNorm(channels, channels, { kernel: 1 }),
        cv2: new ConvNorm(channels, channels, { kernel: 3, stride: 2, groups: channels }),
      }),
    ]),
  conv: (channels) => new ConvNorm(channels, channels, { kernel: 3, stride: 2, activation: "silu" }),
} satisfies Record<string, (channels: number) => Module<[x: Tensor], Tensor>>;
