import type { Tensor } from "@dfine/tensor";
import { Module } from "../module.ts";

/** What a `Sequential` is made of. */
export type Layer = Module<[x: Tensor], Tensor>;

/** Modules in a row, each called on what the one before it gives. Their keys, or positions, name them in the state dict. */
export class Sequential extends Module<[x: Tensor], Tensor> {
  readonly #layers: readonly Layer[];

  constructor(layers: readonly Layer[] | Readonly<Record<string, Layer | undefined>>) {
    super();
    Object.assign(this, layers);
    this.#layers = Object.values<Layer | undefined>(layers).filter((layer) => layer !== undefined);
  }

  /** What the first module takes → what the last one gives. */
  protected forward(x: Tensor): Tensor {
    return this.#layers.reduce((y, layer) => layer.call(y), x);
  }
}
