import { casesOf, coalesce, defineUpdate, keep, overwrites, packedCopies, scope, type Tensor } from "@dfine/tensor";
import type { HostTensor } from "../state.ts";
import { readNamed, writeNamed } from "./saved.ts";

/** How fast an average follows. */
export interface EmaOptions {
  /** Share of the old average in the new one, once warmed up. */
  readonly decay: number;
  /** Updates over which the decay rises from 0; 0: none. */
  readonly warmups: number;
}

const average = defineUpdate(
  "ema",
  ([mean], [value, decay]) => [mean!.mul(decay!).add(decay!.neg().add(1).mul(value!))],
  {
    takes: ["mean", "value", "decay"],
    cases: (op) =>
      casesOf("3x5 65 1", (shape) => ({
        inputs: [{ shape }, { shape }, 0.75],
        ...overwrites(op, 1),
      })),
  },
);

/** Decay of the update number `updates`, counted from 1: decay · (1 − exp(−updates / warmups)). */
export const emaDecay = ({ decay, warmups }: EmaOptions, updates: number): number =>
  warmups > 0 ? decay * (1 - Math.exp(-updates / warmups)) : decay;

/** Exponential moving average of a model's state: all float entries, buffers too; integers stay as they were first. */
export class Ema {
  readonly options: EmaOptions;
  /** The averages by name; they stay the same tensors. */
  readonly entries: ReadonlyMap<string, Tensor>;
  #updates = 0;

  /**
   * Starts from a copy of `source`, a model's state by name. What lies side by side in it, an optimiser's parameters for
   * example, is averaged by one kernel.
   */
  constructor(source: ReadonlyMap<string, Tensor>, options: EmaOptions) {
    this.options = options;
    const copies = keep(packedCopies([...source.values()]));
    this.entries = new Map([...source.keys()].map((name, i) => [name, copies[i]!]));
  }

  get updates(): number {
    return this.#updates;
  }

  /** Takes in the model's present state; `decay`, where given, holds for this update in place of the option. */
  update(
    source: ReadonlyMap<string, Tensor>,
    { decay: limit = this.options.decay }: { readonly decay?: number } = {},
  ): void {
    const decay = emaDecay({ ...this.options, decay: limit }, ++this.#updates);
    const floats = [...this.entries].filter(([, mean]) => mean.dtype === "f32");
    scope("ema", () => {
      for (const [mean, value] of coalesce(floats.map(([name, mean]) => [mean, source.get(name)!])))
        average([mean!], [value!, decay]);
    });
  }

  /** Values of all entries, and the number of updates so far. */
  async save(): Promise<{ entries: Map<string, HostTensor>; updates: number }> {
    return { entries: await readNamed(this.entries), updates: this.#updates };
  }

  /** Puts back what `save` gave. @throws StateDictError for another model's */
  restore(state: { readonly entries: ReadonlyMap<string, HostTensor>; readonly updates: number }): void {
    writeNamed(this.entries, state.entries);
    this.#updates = state.updates;
  }

  /** Frees the averages. */
  dispose(): void {
    for (const entry of this.entries.values()) entry.dispose();
  }
}
