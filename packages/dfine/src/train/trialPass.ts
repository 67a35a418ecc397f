import { backward } from "@dfine/tensor";
import { batchParts, type TrainingBatch } from "./batch.ts";
import type { DeviceState } from "./deviceState.ts";
import { batchLosses, type StepContext } from "./trainStep.ts";

/** What a pass takes. */
export interface PassCost {
  readonly seconds: number;
  /** Held when everything that the gradients need is there: about the height of a step. */
  readonly bytes: number;
}

/** Forgets the gradients of a pass, and what it has done to running statistics. */
export function undoPass({ optimizer, buffers }: DeviceState): void {
  optimizer.zeroGrad();
  buffers.putBack();
}

/**
 * Forward and backward pass over a batch, of which nothing is learned. The running statistics must have been taken.
 * @throws OutOfMemoryError
 */
export async function trialPass(state: DeviceState, batch: TrainingBatch, context: StepContext): Promise<PassCost> {
  using flow = state.flow("trial");
  const start = performance.now();
  try {
    const { total, values } = await batchLosses(flow, state.model, { batch, context });
    const { bytes } = state.backend.memory();
    flow.run(() => backward(total));
    await values.data();
    return { bytes, seconds: (performance.now() - start) / 1000 };
  } finally {
    undoPass(state);
  }
}

/** What a step on a batch takes, by trying twice, since the first try compiles kernels. @throws OutOfMemoryError */
export async function measureStep(state: DeviceState, batch: TrainingBatch, context: StepContext): Promise<PassCost> {
  const [part] = batchParts(batch, context.config.train.accumulate) as [TrainingBatch];
  using flow = state.flow("before trials");
  flow.run(() => state.buffers.take());
  await trialPass(state, part, context);
  const { seconds, bytes } = await trialPass(state, part, context);
  return { bytes, seconds: (seconds * batch.shape[0]) / part.shape[0] };
}
