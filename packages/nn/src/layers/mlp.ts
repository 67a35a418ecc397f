import { checkOptions, type OptionRules, type Tensor, thing, whole } from "@dfine/tensor";
import { Module } from "../module.ts";
import { Linear, type LinearOptions } from "./linear.ts";

/** Sizes of an `Mlp`. */
export interface MlpOptions {
  readonly layers: number;
  readonly hidden: number;
  /** Initialisation of all layers. */
  readonly all?: Pick<LinearOptions, "weightInit" | "biasInit">;
  /** Initialisation of the last layer, over `all`. */
  readonly last?: Pick<LinearOptions, "weightInit" | "biasInit">;
}

const OPTIONS: OptionRules<MlpOptions> = { layers: whole(1), hidden: whole(1), all: thing, last: thing };

/** Linear layers with ReLU between them: x [..., in] → [..., out]. */
export class Mlp extends Module<[x: Tensor], Tensor> {
  readonly layers: Linear[];

  constructor(inFeatures: number, outFeatures: number, options: MlpOptions) {
    super();
    checkOptions("Mlp", options, OPTIONS);
    const { layers, hidden, all, last } = options;
    this.layers = Array.from({ length: layers }, (_, i) => {
      const isLast = i === layers - 1;
      return new Linear(i === 0 ? inFeatures : hidden, isLast ? outFeatures : hidden, {
        activation: isLast ? "identity" : "relu",
        ...all,
        ...(isLast ? last : {}),
      });
    });
  }

  /** x [..., in] → [..., out]. */
  protected forward(x: Tensor): Tensor {
    return this.layers.reduce((y, layer) => layer.call(y), x);
  }
}
