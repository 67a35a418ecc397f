import { activationOption, checkOptions, linear, numberOrThing, type OptionRules, type Tensor } from "@dfine/tensor";
import type { Activation } from "@dfine/tensor/kernel";
import { type Initializer, kaimingUniform, uniformInit } from "../init.ts";
import { Module } from "../module.ts";
import { parameter } from "../parameter.ts";
import { biasActivation } from "./biasActivation.ts";

/** What a `Linear` may be told. */
export interface LinearOptions {
  /** Applied after the bias, in the same kernel; default identity. */
  readonly activation?: Activation;
  /** Default PyTorch's, `kaimingUniform`. */
  readonly weightInit?: Initializer;
  /** Default PyTorch's, uniform in ±1/√in. */
  readonly biasInit?: Initializer;
}

const OPTIONS: OptionRules<LinearOptions> = {
  activation: activationOption,
  weightInit: numberOrThing,
  biasInit: numberOrThing,
};

/** activation(x · weightᵀ + bias): x [..., in] → [..., out]. */
export class Linear extends Module<[x: Tensor], Tensor> {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly #activation: Activation;

  constructor(inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
    super();
    checkOptions("Linear", options, OPTIONS);
    const {
      activation = "identity",
      weightInit = kaimingUniform,
      biasInit = uniformInit(1 / Math.sqrt(inFeatures)),
    } = options;
    this.weight = parameter([outFeatures, inFeatures], weightInit);
    this.bias = parameter([outFeatures], biasInit);
    this.#activation = activation;
  }

  /** x [..., in] → [..., out]. */
  protected forward(x: Tensor): Tensor {
    return biasActivation[this.#activation](linear(x, this.weight), this.bias);
  }
}
