import { checkOptions, layerNorm, real, type Tensor } from "@dfine/tensor";
import { Module } from "../module.ts";
import { parameter } from "../parameter.ts";

/** Normalises the last axis to mean 0 and variance 1, then scales and shifts. Ba et al. 2016. */
export class LayerNorm extends Module<[x: Tensor], Tensor> {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly eps: number;

  constructor(features: number, options: { readonly eps?: number } = {}) {
    super();
    checkOptions("LayerNorm", options, { eps: real });
    this.weight = parameter([features], 1);
    this.bias = parameter([features], 0);
    this.eps = options.eps ?? 1e-5;
  }

  /** x [..., D] → the same shape. */
  protected forward(x: Tensor): Tensor {
    const { weight, bias, eps } = this;
    return layerNorm(x, { weight, bias, eps });
  }
}
