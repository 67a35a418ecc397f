import { OutOfMemoryError } from "@dfine/tensor";
import { checkInputSize, type ModelConfig } from "../model/architectures.ts";
import { sliceBatch, type TrainingBatch } from "./batch.ts";
import type { DeviceState } from "./deviceState.ts";
import type { StepContext } from "./trainStep.ts";
import { trialPass, undoPass } from "./trialPass.ts";

/** Undoes a step that ran out of memory, and finds out by trying what would fit. Nothing is learned from the trials. */
export async function adviseOnMemory(
  error: OutOfMemoryError,
  batch: TrainingBatch,
  { state, context }: { state: DeviceState; context: StepContext },
): Promise<OutOfMemoryError> {
  undoPass(state);
  const fixedBytes = state.backend.memory().bytes;
  const trial: Trial = async (smaller) => (await trialPass(state, smaller, context)).bytes;
  return await whatFits(error, batch, { trial, model: context.config.model, fixedBytes });
}

/** Bytes held when everything that the gradients need is there: about the height of a step. @throws OutOfMemoryError */
export type Trial = (batch: TrainingBatch) => Promise<number>;

/**
 * Turns running out of memory in a training step into advice that was tried: halves the batch until a step fits, then the
 * sides of a single image. What the whole batch would need follows from what the smaller one took, and from `fixedBytes`,
 * which are held between steps: weights, averages, moments.
 */
export async function whatFits(
  error: OutOfMemoryError,
  batch: TrainingBatch,
  { trial, model, fixedBytes }: { trial: Trial; model: ModelConfig; fixedBytes: number },
): Promise<OutOfMemoryError> {
  const [count, , height, width] = batch.shape;
  for (const smaller of smallerBatches(batch, model)) {
    const held = await trial(smaller).catch((caught: unknown) => {
      if (caught instanceof OutOfMemoryError) return undefined;
      throw caught;
    });
    if (held === undefined) continue;
    const [fitting, , h, w] = smaller.shape;
    const share = (count * height * width) / (fitting * h * w);
    const needed = fixedBytes + (held - fixedBytes) * share;
    const remedy =
      h === height && w === width
        ? `a batch of ${fitting} would fit: --batch ${fitting}${count % fitting === 0 ? `, or this one in parts: accumulate=${count / fitting}` : ""}`
        : `at ${h}x${w} a batch of 1 would fit: --batch 1 --size ${h === w ? h : `${h}x${w}`}`;
    return new OutOfMemoryError(
      `training: a batch of ${count} at ${height}x${width} needs about ${readable(needed)}, more than there is`,
      `${remedy} (${error.facts})`,
    );
  }
  return new OutOfMemoryError(
    `training: not even one small image fits beside the model, which holds ${readable(fixedBytes)}`,
    `choose a smaller preset (${error.facts})`,
  );
}

function* smallerBatches(batch: TrainingBatch, model: ModelConfig): Generator<TrainingBatch> {
  const [count, channels, height, width] = batch.shape;
  for (let size = count >> 1; size >= 1; size >>= 1) yield sliceBatch(batch, 0, size);
  for (const [h, w] of smallerSizes(height, width, model))
    yield { ...sliceBatch(batch, 0, 1), images: new Float32Array(channels * h * w), shape: [1, channels, h, w] };
}

/** Input sizes with half the pixels, a quarter, …, as far as they suit the model. */
function* smallerSizes(height: number, width: number, model: ModelConfig): Generator<[number, number]> {
  const step = 32;
  let last = `${height}x${width}`;
  for (let scale = Math.SQRT1_2; ; scale *= Math.SQRT1_2) {
    const h = step * Math.floor((scale * height) / step);
    const w = step * Math.floor((scale * width) / step);
    if (!suits(model, [h, w])) return;
    if (`${h}x${w}` !== last) yield [h, w];
    last = `${h}x${w}`;
  }
}

function suits(model: ModelConfig, size: readonly [number, number]): boolean {
  try {
    checkInputSize(model, size);
    return true;
  } catch {
    return false;
  }
}

/** "2.1 GB", "340 MB". */
export function readable(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(0)} MB`;
}
