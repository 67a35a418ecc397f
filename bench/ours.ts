import { type Backend, noGrad, readResults, type Tensor } from "@dfine/tensor";
import type { Contender } from "./work.ts";

export interface Computation {
  /** Results, the first of them with at least one element. */
  readonly compute: () => readonly Tensor[];
  readonly dispose: () => void;
}

/** Ours, on a backend. A run has ended when an element of its first result can be read: some backends only queue. */
export function onBackend(backend: Backend, { compute, dispose }: Computation): Contender {
  return {
    implementation: "ours",
    run: () =>
      readResults(backend, () =>
        noGrad(() => [
          compute()[0]!
            .reshape([-1])
            .slice([{ start: 0, end: 1 }]),
        ]),
      ),
    outputs: () => readResults(backend, () => noGrad(compute)),
    dispose,
  };
}
