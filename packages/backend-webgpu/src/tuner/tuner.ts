import type { Buffer } from "@dfine/tensor";
import { memo } from "@dfine/tensor/kernel";
import { classOf } from "../kernels/product/plan.ts";
import type { MetProduct } from "../kernels/runtime.ts";
import { type Choice, noChoices, type TunedChoices } from "./choices.ts";
import { type Race, race } from "./race.ts";

export interface TunerOptions {
  /** What the adapter says of itself. */
  readonly adapter: string;
  /** What was measured on it before. */
  readonly known?: TunedChoices | undefined;
  /** Told of all that is known after something was measured. */
  readonly onChoices?: ((choices: TunedChoices) => void) | undefined;
  /** Seconds after which no further class is begun. */
  readonly seconds: number;
  /** In milliseconds. */
  readonly now?: () => number;
}

/** A product of a class that nothing was measured of, with the lengths of its buffers. */
export interface Unmeasured extends MetProduct {
  readonly lengths: ReadonlyMap<Buffer, number>;
}

/** Where kernels are timed on a product. */
export interface Track {
  /** Lays out memory for a product, for kernels by name; undefined where there is none. `leave` must be called in the end. */
  enter(met: Unmeasured): (Race<string> & { readonly leave: () => void }) | undefined;
}

/** Knows the kernels that were measured to be best on an adapter, and measures those of new products. */
export class Tuner {
  readonly #options: TunerOptions;
  readonly #choices: Map<string, Choice>;
  readonly #unmeasured = new Map<string, Unmeasured>();

  constructor(options: TunerOptions) {
    this.#options = options;
    const { known, adapter } = options;
    this.#choices = new Map(known?.adapter === adapter ? Object.entries(known.choices) : []);
  }

  get choices(): TunedChoices {
    return { ...noChoices(this.#options.adapter), choices: Object.fromEntries(this.#choices) };
  }

  choiceOf(productClass: string): string | undefined {
    return this.#choices.get(productClass)?.kernel;
  }

  /** Notes a product, the first of each class that nothing is known of. */
  meet(met: MetProduct): void {
    const name = classOf(met.product);
    if (this.#choices.has(name)) return;
    memo(this.#unmeasured, name, () => {
      const buffers = [...Object.values(met.factors), met.c].map((view) => view.buffer);
      return { ...met, lengths: new Map(buffers.map((buffer) => [buffer, buffer.length])) };
    });
  }

  /** Measures all products that were met since, until its time is over; later ones are met again. */
  async measure(track: Track): Promise<void> {
    const { seconds, now = () => performance.now(), onChoices } = this.#options;
    const waiting = [...this.#unmeasured];
    this.#unmeasured.clear();
    if (waiting.length === 0) return;
    const start = now();
    for (const [name, met] of waiting) {
      if (now() - start > seconds * 1000) break;
      const entered = track.enter(met);
      if (!entered) continue;
      try {
        const { usual } = entered;
        const result = await race(entered);
        if (!result) continue;
        const { best: kernel, milliseconds, usualMilliseconds } = result;
        this.#choices.set(name, { kernel, milliseconds, usual, usualMilliseconds });
      } finally {
        entered.leave();
      }
    }
    onChoices?.(this.choices);
  }
}
