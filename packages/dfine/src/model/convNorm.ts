import {
  BatchNorm2d,
  Conv2d,
  type Conv2dLayerOptions,
  FrozenBatchNorm2d,
  Module,
  type NormEpilogue,
  normAffine,
  parameter,
} from "@dfine/nn";
import { add, conv2d, conv2dAct, copyInto, defineMap, noGrad, pad2d, scope, split, type Tensor } from "@dfine/tensor";
import { type Activation, scalar } from "@dfine/tensor/kernel";

export interface ConvNormOptions extends Pick<Conv2dLayerOptions, "kernel" | "stride" | "groups" | "weightInit"> {
  /** After the norm; default identity. */
  readonly activation?: Activation;
  /** Name of the norm in the state dict; default norm. */
  readonly normName?: "norm" | "bn";
  /** A norm by fixed numbers. */
  readonly freezeNorm?: boolean;
  /** A learnable scale and shift after the activation, `lab` in the state dict. */
  readonly learnableAffine?: boolean;
}

interface ConvParts {
  readonly conv: Conv2d;
  readonly norm: BatchNorm2d | FrozenBatchNorm2d;
}

/** Convolution without bias, batch norm and what follows it: x [B, in, H, W] → [B, out, H', W']; one kernel outside training. */
export function normedConv(x: Tensor, { conv, norm }: ConvParts, epilogue: NormEpilogue = {}): Tensor {
  if (norm.training) return norm.call(conv.call(x), epilogue);
  return conv2dAct(x, conv.weight, { ...conv.geometry, ...normAffine(norm), ...epilogue });
}

/**
 * A 1x1 convolution of the pixels of `coarse` [B, C, H, W], each repeated 2 × 2 times, and the channels of x [B, in, 2H, 2W] behind
 * theirs. What it makes of `coarse` is computed before it is repeated: a quarter of the work.
 */
function convRepeated(x: Tensor, coarse: Tensor, weight: Tensor): Tensor {
  const [b, channels, h, w] = coarse.shape as [number, number, number, number];
  const out = weight.shape[0]!;
  const [repeated, others] = split(weight, [channels, x.shape[1]!], 1) as [Tensor, Tensor];
  const fine = conv2d(x, others).reshape([b, out, h, 2, w, 2]);
  return fine.add(conv2d(coarse, repeated).reshape([b, out, h, 1, w, 1])).reshape([b, out, 2 * h, 2 * w]);
}

/** The weight and bias of a convolution that does what `conv` and then `norm` outside training do. */
function folded({ conv, norm }: ConvParts): { weight: Tensor; bias: Tensor } {
  const { factor, bias } = normAffine(norm);
  return { weight: conv.weight.mul(factor.reshape([-1, 1, 1, 1])), bias };
}

/** A convolution like `conv` with the weight and bias that `values` gives. */
function convWithBias(conv: Conv2d, activation: Activation, values: () => ReturnType<typeof folded>): Conv2d {
  const { weight, options } = conv;
  const inChannels = weight.shape[1]! * (options.groups ?? 1);
  const fused = new Conv2d(inChannels, weight.shape[0]!, { ...options, bias: true, activation });
  noGrad(() =>
    scope("fuse", () => {
      const { weight, bias } = values();
      copyInto(fused.weight, weight);
      copyInto(fused.bias!, bias);
    }),
  );
  return fused;
}

/** A scale and a shift [1], which the norm before them applies after its activation. */
class LearnableAffine extends Module<[], { scale: Tensor; shift: Tensor }> {
  readonly scale = parameter([1], 1);
  readonly bias = parameter([1], 0);

  protected forward(): { scale: Tensor; shift: Tensor } {
    return { scale: this.scale, shift: this.bias };
  }
}

/**
 * Convolution without bias, batch norm, activation, learnable affine block: x [B, in, H, W] → [B, out, H', W']. In training a 1x1
 * convolution also takes its first channels as a map of half the size, `coarse`, whose pixels are repeated.
 */
export class ConvNorm extends Module<[x: Tensor, coarse?: Tensor], Tensor> {
  conv: Conv2d | undefined;
  norm: ConvParts["norm"] | undefined;
  /** In place of `norm`, where that is the norm's name. */
  bn: ConvParts["norm"] | undefined;
  readonly lab: LearnableAffine | undefined;
  /** In the deploy form, instead of convolution and norm. */
  convBnFused: Conv2d | undefined;
  readonly #activation: Activation;

  constructor(inChannels: number, outChannels: number, options: ConvNormOptions) {
    super();
    const { activation = "identity", normName = "norm", freezeNorm, learnableAffine, ...conv } = options;
    this.conv = new Conv2d(inChannels, outChannels, { ...conv, padding: Math.floor((options.kernel - 1) / 2) });
    this[normName] = freezeNorm ? new FrozenBatchNorm2d(outChannels) : new BatchNorm2d(outChannels);
    this.lab = learnableAffine ? new LearnableAffine() : undefined;
    this.#activation = activation;
  }

  get parts(): ConvParts {
    const norm = this.norm ?? this.bn;
    if (!this.conv || !norm) throw new Error("ConvNorm: already fused");
    return { conv: this.conv, norm };
  }

  fuse(): void {
    const { parts } = this;
    if (this.lab) throw new Error("ConvNorm: an affine block cannot be fused");
    this.convBnFused = convWithBias(parts.conv, this.#activation, () => folded(parts));
    parts.conv.dispose();
    parts.norm.dispose();
    this.conv = this.norm = this.bn = undefined;
  }

  protected forward(x: Tensor, coarse?: Tensor): Tensor {
    if (this.convBnFused) return this.convBnFused.call(x);
    const { parts } = this;
    const epilogue = { activation: this.#activation, affine: this.lab?.call() };
    return coarse
      ? parts.norm.call(convRepeated(x, coarse, parts.conv.weight), epilogue)
      : normedConv(x, parts, epilogue);
  }
}

const siluOfSum = defineMap("siluOfSum", (a, b) => scalar.silu(a.add(b)));

/** SiLU(BN(conv 3x3) + BN(conv 1x1)), which the deploy form joins into one 3x3 convolution. Ding et al. 2021. */
export class VggBlock extends Module<[x: Tensor], Tensor> {
  conv1: ConvNorm | undefined;
  conv2: ConvNorm | undefined;
  /** In the deploy form, instead of the other two. */
  conv: Conv2d | undefined;

  constructor(channels: number) {
    super();
    this.conv1 = new ConvNorm(channels, channels, { kernel: 3 });
    this.conv2 = new ConvNorm(channels, channels, { kernel: 1 });
  }

  #branches(): { wide: ConvNorm; narrow: ConvNorm } {
    if (!this.conv1 || !this.conv2) throw new Error("VggBlock: already fused");
    return { wide: this.conv1, narrow: this.conv2 };
  }

  fuse(): void {
    const { wide, narrow } = this.#branches();
    this.conv = convWithBias(wide.parts.conv, "silu", () => {
      const [three, one] = [folded(wide.parts), folded(narrow.parts)];
      return { weight: add(three.weight, pad2d(one.weight, [1, 1, 1, 1])), bias: add(three.bias, one.bias) };
    });
    wide.dispose();
    narrow.dispose();
    this.conv1 = undefined;
    this.conv2 = undefined;
  }

  protected forward(x: Tensor): Tensor {
    if (this.conv) return this.conv.call(x);
    const { wide, narrow } = this.#branches();
    return siluOfSum(wide.call(x), narrow.call(x));
  }
}
