import { caseOf, defineMap, type Random, type RandomKey, type Tensor, uniform } from "@dfine/tensor";
import { defineOp, type OpAttrs, type StructuredOp } from "@dfine/tensor/kernel";
import { Module } from "../module.ts";

declare module "@dfine/tensor/kernel" {
  interface OpAttrs {
    /** x of any shape → the same: zero where the stream `key` has a number below `share`, else divided by 1 − `share`. */
    dropout: { readonly share: number; readonly key: RandomKey };
  }
}

const kept = defineMap("dropoutKept", (x, drawn, share) => drawn.lt(share).select(0, x.div(share.neg().add(1))), {
  inputs: [
    [-3, 3],
    [0, 1],
    [0.1, 0.9],
  ],
});

/** What was drawn is drawn again for the gradient, in place of kept. */
const op: StructuredOp<OpAttrs["dropout"]> = defineOp("dropout", {
  takes: ["x"],
  infer: ([x]) => [{ shape: x!.shape, dtype: "f32" }],
  fallback: ([x], { share, key }) => [kept(x!, uniform(x!.shape, key, x!.backend), share)],
  vjp: ({ attrs, grads: [dy] }) => op([dy!], attrs),
  cases: () =>
    ["3x5", "2x3x65", "1", "0x4"].map((shape) => caseOf(shape, (x) => op([x], { share: 0.25, key: [3, -7] }))),
});

/** How much is dropped, and by which numbers. */
export interface DropoutDraws {
  /** Probability, from 0 to below 1. */
  readonly share: number;
  readonly random: Random;
}

/**
 * In training, sets elements to zero by chance, and divides the others by the probability that they stay. Which ones follows
 * from what `setDropout` gave it and from the name of the place, so the same step drops the same; before, it changes nothing.
 * Srivastava et al. 2014.
 */
export class Dropout extends Module<[x: Tensor, place: string], Tensor> {
  #draws: DropoutDraws | undefined;

  /** What it draws from the next call on. */
  set draws(draws: DropoutDraws) {
    this.#draws = draws;
  }
  /** Whether it drops anything. */
  get isActive(): boolean {
    return this.training && this.#draws !== undefined && this.#draws.share > 0;
  }

  /** x of any shape → the same shape. Each place of a forward pass has a name of its own. */
  protected forward(x: Tensor, place: string): Tensor {
    if (!this.#draws || !this.isActive) return x;
    const { share, random } = this.#draws;
    return op([x], { share, key: random.fork(place).state.key })[0]!;
  }
}

/** Has every `Dropout` of a model draw from a stream of its own, until the next call: a training step begins with it. */
export function setDropout(model: Module, { share, random }: DropoutDraws): void {
  const all = model.modules().filter((module) => module instanceof Dropout);
  for (const [i, dropout] of all.entries()) dropout.draws = { share, random: random.fork(`${i}`) };
}
