import { type Backend, backward, type OutOfMemoryError, scope } from "@dfine/tensor";
import type { ModelConfig } from "../config/config.ts";
import type { CriterionResult } from "../loss/criterion.ts";
import type { TrainingBatch } from "./batch.ts";
import type { DeviceState } from "./deviceState.ts";
import { whatFits } from "./whatFits.ts";

export interface MemoryAdviceOptions {
  readonly state: DeviceState;
  readonly backend: Backend;
  readonly model: ModelConfig;
  /** Forward pass and criterion. */
  readonly losses: (batch: TrainingBatch) => Promise<CriterionResult>;
}

/** Undoes a step that ran out of memory, and finds out by trying what would fit. Nothing is learned from the trials. */
export async function adviseOnMemory(
  error: OutOfMemoryError,
  batch: TrainingBatch,
  { state, backend, model, losses }: MemoryAdviceOptions,
): Promise<OutOfMemoryError> {
  const { optimizer, buffers } = state;
  const undo = () => {
    optimizer.zeroGrad();
    buffers.putBack();
  };
  undo();
  const fixedBytes = backend.memory().bytes;
  const trial = (smaller: TrainingBatch): Promise<number> =>
    scope("trial", async () => {
      const { total } = await losses(smaller);
      const { bytes } = backend.memory();
      backward(total);
      return bytes;
    }).finally(undo);
  return await whatFits(error, batch, { trial, model, fixedBytes });
}
