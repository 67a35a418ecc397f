import {
  ArgumentError,
  activationOption,
  type Conv2dOptions,
  checkOptions,
  conv2d,
  conv2dAct,
  flag,
  numberOrThing,
  type OptionRules,
  type Tensor,
  whole,
} from "@dfine/tensor";
import type { Activation } from "@dfine/tensor/kernel";
import { type Initializer, kaimingUniform, uniformInit } from "../init.ts";
import { Module } from "../module.ts";
import { parameter } from "../parameter.ts";

/** What a `Conv2d` may be told; defaults are PyTorch's. */
export interface Conv2dLayerOptions {
  /** Height and width of the window. */
  readonly kernel: number;
  readonly stride?: number;
  /** Zeros on all four sides; default 0. */
  readonly padding?: number;
  readonly groups?: number;
  /** Default false. */
  readonly bias?: boolean;
  /** Applied after the bias, so there must be one; default identity. */
  readonly activation?: Activation;
  /** Default PyTorch's, `kaimingUniform`. */
  readonly weightInit?: Initializer;
  /** Default PyTorch's, uniform in ±1/√fanIn. */
  readonly biasInit?: Initializer;
}

const OPTIONS: OptionRules<Conv2dLayerOptions> = {
  ...{ kernel: whole(1), stride: whole(1), padding: whole(0), groups: whole(1), bias: flag },
  ...{ activation: activationOption, weightInit: numberOrThing, biasInit: numberOrThing },
};

/** activation(convolution + bias): x [B, in, H, W] → [B, out, H', W']. */
export class Conv2d extends Module<[x: Tensor], Tensor> {
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
  readonly options: Conv2dLayerOptions;

  constructor(inChannels: number, outChannels: number, options: Conv2dLayerOptions) {
    super();
    checkOptions("Conv2d", options, OPTIONS);
    const { kernel, groups = 1, weightInit = kaimingUniform, activation = "identity" } = options;
    if (activation !== "identity" && !options.bias)
      throw new ArgumentError(`Conv2d: the activation ${activation} follows the bias; give bias: true as well`);
    if (inChannels % groups || outChannels % groups)
      throw new ArgumentError(`Conv2d: ${inChannels} and ${outChannels} channels do not divide into ${groups} groups`);
    const fanIn = (inChannels / groups) * kernel * kernel;
    this.weight = parameter([outChannels, inChannels / groups, kernel, kernel], weightInit);
    const { biasInit = uniformInit(1 / Math.sqrt(fanIn)) } = options;
    this.bias = options.bias ? parameter([outChannels], biasInit) : undefined;
    this.options = options;
  }

  /** How the window moves, as `conv2d` takes it. */
  get geometry(): Conv2dOptions {
    const { stride = 1, padding = 0, groups = 1 } = this.options;
    return { stride, padding, groups };
  }

  /** x [B, Ci, H, W] → [B, Co, Ho, Wo]. */
  protected forward(x: Tensor): Tensor {
    const { weight, bias, geometry } = this;
    const { activation = "identity" } = this.options;
    return bias ? conv2dAct(x, weight, { ...geometry, bias, activation }) : conv2d(x, weight, geometry);
  }
}
