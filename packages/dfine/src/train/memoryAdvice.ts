import { type Backend, backward, type OutOfMemoryError, scope, zerosLike } from "@dfine/tensor";
import type { ModelConfig } from "../config/config.ts";
import type { CriterionResult } from "../loss/criterion.ts";
import type { TrainingBatch } from "./batch.ts";
import type { DeviceState } from "./deviceState.ts";
import { whatFits } from "./whatFits.ts";

export interface MemoryAdviceOptions {
  readonly state: DeviceState;
  readonly backend: Backend;
  readonly model: ModelConfig;
  readonly isFirstStep: boolean;
  /** Forward pass and criterion. */
  readonly losses: (batch: TrainingBatch) => Promise<CriterionResult>;
}

/** Undoes a step that ran out of memory, and finds out by trying what would fit. Nothing is learned from the trials. */
export async function adviseOnMemory(
  error: OutOfMemoryError,
  batch: TrainingBatch,
  { state, backend, model, isFirstStep, losses }: MemoryAdviceOptions,
): Promise<OutOfMemoryError> {
  const { optimizer, buffers } = state;
  const undo = () => {
    optimizer.zeroGrad();
    buffers.putBack();
  };
  undo();
  // The optimiser makes its two moments in the first step, and holds them in all later ones.
  const coming = isFirstStep ? optimizer.groups.flatMap(({ parameters }) => [...parameters.values()]) : [];
  const momentBytes = coming.reduce((sum, { size }) => sum + 2 * Float32Array.BYTES_PER_ELEMENT * size, 0);
  const fixedBytes = backend.memory().bytes + momentBytes;
  const trial = (smaller: TrainingBatch): Promise<number> =>
    scope("trial", async () => {
      for (const parameter of coming) for (let i = 0; i < 2; i++) zerosLike(parameter);
      const { total } = await losses(smaller);
      const { bytes } = backend.memory();
      backward(total);
      return bytes;
    }).finally(undo);
  return await whatFits(error, batch, { trial, model, fixedBytes });
}
