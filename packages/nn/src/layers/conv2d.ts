import { type Activation, conv2d, type Tensor } from "@dfine/tensor";
import { type Initializer, kaimingUniform, uniformInit } from "../init.ts";
import { Module } from "../module.ts";
import { parameter } from "../parameter.ts";
import { biasActivation } from "./biasActivation.ts";

export interface Conv2dLayerOptions {
  /** Height and width of the window. */
  readonly kernel: number;
  readonly stride?: number;
  /** Zeros on all four sides; default 0. */
  readonly padding?: number;
  readonly groups?: number;
  /** Default false. */
  readonly bias?: boolean;
  /** Applied after the bias, in the same kernel; default identity. */
  readonly activation?: Activation;
  /** Default PyTorch's, `kaimingUniform`. */
  readonly weightInit?: Initializer;
}

/** activation(convolution + bias): x [B, in, H, W] → [B, out, H', W']. */
export class Conv2d extends Module<[x: Tensor], Tensor> {
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
  readonly options: Conv2dLayerOptions;

  constructor(inChannels: number, outChannels: number, options: Conv2dLayerOptions) {
    super();
    const { kernel, groups = 1, weightInit = kaimingUniform } = options;
    const fanIn = (inChannels / groups) * kernel * kernel;
    this.weight = parameter([outChannels, inChannels / groups, kernel, kernel], weightInit);
    this.bias = options.bias ? parameter([outChannels], uniformInit(1 / Math.sqrt(fanIn))) : undefined;
    this.options = options;
  }

  protected forward(x: Tensor): Tensor {
    const { stride = 1, padding = 0, groups = 1, activation = "identity" } = this.options;
    const y = conv2d(x, this.weight, { stride, padding, groups });
    if (!this.bias && activation === "identity") return y;
    return biasActivation[activation](y, this.bias?.reshape([1, -1, 1, 1]) ?? 0, 1, 0);
  }
}
