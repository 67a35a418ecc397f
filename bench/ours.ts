import { type Backend, noGrad, readTensors, scope, type Tensor, withBackend } from "@dfine/tensor";
import type { Contender } from "./work.ts";

export interface Computation {
  /** Results, the first of them with at least one element. */
  readonly compute: () => readonly Tensor[];
  readonly dispose: () => void;
}

/** Ours, on a backend. A run has ended when an element of its first result can be read: some backends only queue. */
export function onBackend(backend: Backend, { compute, dispose }: Computation): Contender {
  const results = <T>(use: (results: readonly Tensor[]) => Promise<T>): Promise<T> =>
    withBackend(backend, () => scope("bench", () => use(noGrad(compute))));
  return {
    implementation: "ours",
    run: () => results(([first]) => readTensors([first!.reshape([-1]).slice([{ start: 0, end: 1 }])])),
    outputs: () => results(readTensors),
    dispose,
  };
}
