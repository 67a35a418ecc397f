import { backward, type OutOfMemoryError, type Scope } from "@dfine/tensor";
import type { ModelConfig } from "../config/config.ts";
import type { CriterionResult } from "../loss/criterion.ts";
import type { TrainingBatch } from "./batch.ts";
import type { DeviceState } from "./deviceState.ts";
import { whatFits } from "./whatFits.ts";

export interface MemoryAdviceOptions {
  readonly state: DeviceState;
  readonly model: ModelConfig;
  /** Forward pass and criterion, whose tensors `flow` owns. */
  readonly losses: (flow: Scope, batch: TrainingBatch) => Promise<CriterionResult>;
}

/** Undoes a step that ran out of memory, and finds out by trying what would fit. Nothing is learned from the trials. */
export async function adviseOnMemory(
  error: OutOfMemoryError,
  batch: TrainingBatch,
  { state, model, losses }: MemoryAdviceOptions,
): Promise<OutOfMemoryError> {
  const { optimizer, buffers, backend } = state;
  const undo = () => {
    optimizer.zeroGrad();
    buffers.putBack();
  };
  undo();
  const fixedBytes = backend.memory().bytes;
  const trial = async (smaller: TrainingBatch): Promise<number> => {
    using flow = state.flow("trial");
    try {
      const { total } = await losses(flow, smaller);
      const { bytes } = backend.memory();
      flow.run(() => backward(total));
      return bytes;
    } finally {
      undo();
    }
  };
  return await whatFits(error, batch, { trial, model, fixedBytes });
}
