import { type Random, writeTensor } from "@dfine/tensor";
import { initialValues } from "./init.ts";
import type { Module } from "./module.ts";
import { initializerOf } from "./parameter.ts";

/** What `initialize` may be told. */
export interface InitializeOptions {
  /** Name of a parameter's random stream, by default the parameter's own; parameters that share one start alike. */
  readonly stream?: (name: string) => string;
}

/**
 * Gives every parameter its first values. Each draws from a stream of its own, so that values depend on the seed and the
 * parameter's name alone.
 */
export function initialize(module: Module, random: Random, options: InitializeOptions = {}): void {
  const { stream = (name) => name } = options;
  for (const [name, tensor] of module.namedParameters()) {
    const call = { shape: tensor.shape, random: random.fork(stream(name)) };
    writeTensor(tensor, initialValues(initializerOf(tensor), call));
  }
}
