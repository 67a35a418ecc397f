import { checkOptions, needed, type OptionRules, thing, whole } from "@dfine/tensor";
import type { ConfigOptions } from "../config/resolve.ts";
import type { CocoDataset } from "../data/dataset.ts";
import { DatasetError } from "../data/errors.ts";
import { abortSignal, callable } from "../optionRules.ts";
import type { BatchSource, TrainingBatch } from "./batch.ts";
import type { TrainEvent } from "./events.ts";
import { trainLoop } from "./loop.ts";
import type { Trainer } from "./trainer.ts";

/** Steps between looks at what the model finds. */
const LOOK_EVERY = 25;
/** AP at IoU 0.5 on the batch from which on its objects count as found. */
const FOUND = 0.95;
/** Share of the first loss under which the loss has collapsed. */
const COLLAPSED = 0.5;
/** Steps after which a batch that can be learned has been. */
const MOST_STEPS = 600;

/** What is laid over a configuration for `overfit`: nothing changes the batch, and the average is the model itself. */
export const OVERFIT: ConfigOptions = {
  train: {
    // As many as it takes: steps are the limit.
    epochs: 1_000_000,
    accumulate: 1,
    schedule: { type: "steps", warmupSteps: 10, milestones: [] },
    ema: { decay: 0 },
    augmentation: { transforms: [], stopEpoch: 0, baseSizeRepeat: null },
    earlyStop: { patience: null },
  },
};

/** What to learn by heart. */
export interface OverfitOptions {
  /** Made with a configuration that `OVERFIT` was laid over. */
  readonly trainer: Trainer;
  /** The data, of which the first batch with objects is taken. */
  readonly source: BatchSource;
  readonly dataset: CocoDataset;
  /** Steps after which it is given up. Default 600. */
  readonly maxSteps?: number | undefined;
  /** Told of every step, and every 25 of them, as an epoch, of what the model finds. */
  readonly onEvent?: (event: TrainEvent) => void;
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS: OptionRules<OverfitOptions> = {
  ...{ trainer: needed(thing), source: needed(thing), dataset: needed(thing) },
  ...{ maxSteps: whole(1), onEvent: callable, signal: abortSignal },
};

/** How far the batch was learned. */
export interface OverfitResult {
  /** The loss fell below half of the first, and AP at IoU 0.5 on the batch rose to 0.95: the data can be learned. */
  readonly learned: boolean;
  readonly steps: number;
  readonly firstLoss: number;
  /** Mean of the last 25 steps. */
  readonly loss: number;
  /** AP at IoU 0.5 of the model's predictions on the batch. */
  readonly ap50: number;
  readonly imageIds: readonly number[];
}

/**
 * Trains on one batch until the model knows it by heart, which it does where images and boxes belong together.
 * @throws DatasetError where no batch has objects; otherwise as `trainLoop`, and the signal's reason
 */
export async function overfit(options: OverfitOptions): Promise<OverfitResult> {
  checkOptions("overfit", options, OPTIONS);
  const { trainer, source, dataset, maxSteps = MOST_STEPS, onEvent = () => {}, signal } = options;
  const batch = await firstWithObjects(source, dataset, signal);
  const images = dataset.images.filter(({ id }) => batch.imageIds.includes(id));
  const val = { source: repeated(batch, 1), dataset: { ...dataset, images } };
  let result = { learned: false, steps: 0, firstLoss: Number.NaN, loss: Number.NaN, ap50: 0, imageIds: batch.imageIds };
  for await (const event of trainLoop(trainer, { train: repeated(batch, LOOK_EVERY), val }, { maxSteps, signal })) {
    onEvent(event);
    signal?.throwIfAborted();
    if (event.kind === "step" && event.step === 1) result.firstLoss = event.loss;
    if (event.kind !== "epoch") continue;
    const { loss, step: steps, evaluation } = event;
    const ap50 = evaluation!.result.stats.AP50;
    const learned = loss <= COLLAPSED * result.firstLoss && ap50 >= FOUND;
    result = { ...result, learned, steps, loss, ap50 };
    if (learned) break;
  }
  return result;
}

async function firstWithObjects(
  source: BatchSource,
  { file }: CocoDataset,
  signal: AbortSignal | undefined,
): Promise<TrainingBatch> {
  for await (const batch of source.batches(0, { signal }))
    if (batch.targets.some(({ labels }) => labels.length > 0)) return batch;
  throw new DatasetError(file, "has no batch with objects, so nothing can be learned", "Label objects first.");
}

const repeated = (batch: TrainingBatch, batchesPerEpoch: number): BatchSource => ({
  batchesPerEpoch,
  async *batches(_epoch, { start = 0 } = {}) {
    for (let index = start; index < batchesPerEpoch; index++) yield { ...batch, index };
  },
});
