import type { CocoDataset } from "../data/dataset.ts";
import type { Targets } from "../data/targets.ts";
import type { PredictorInput } from "../predictor.ts";

/** Images and what they hold, in typed arrays: what a loader hands over, whatever it reads from. */
export interface TrainingBatch extends PredictorInput {
  /** Per image; boxes as fractions of the image. */
  readonly targets: readonly Targets[];
  readonly imageIds: readonly number[];
  /** Position of the batch in its epoch. */
  readonly index: number;
}

/** Images `begin` to `end` of a batch. */
export function sliceBatch(batch: TrainingBatch, begin: number, end: number): TrainingBatch {
  const [, channels, height, width] = batch.shape;
  const size = channels * height * width;
  return {
    ...batch,
    images: batch.images.subarray(begin * size, end * size),
    shape: [end - begin, channels, height, width],
    targets: batch.targets.slice(begin, end),
    imageIds: batch.imageIds.slice(begin, end),
    origSizes: batch.origSizes.slice(begin, end),
    ...(batch.validSizes ? { validSizes: batch.validSizes.slice(begin, end) } : {}),
  };
}

/** A batch in so many parts of one size, or, where its images do not make them, in fewer whose last one is smaller. */
export function batchParts(batch: TrainingBatch, parts: number): TrainingBatch[] {
  const [count] = batch.shape;
  const size = Math.ceil(count / parts);
  return Array.from({ length: Math.ceil(count / size) }, (_, i) =>
    sliceBatch(batch, i * size, Math.min(count, (i + 1) * size)),
  );
}

/** What a run learns from and is judged by. */
export interface TrainData {
  readonly train: BatchSource;
  readonly val?: { readonly source: BatchSource; readonly dataset: CocoDataset };
}

/** Where to start in an epoch, and how to stop. */
export interface BatchesOptions {
  /** First batch; those before it are not prepared. Default 0. */
  readonly start?: number;
  /** Ends the iteration with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Batches epoch by epoch. A batch must follow from epoch and index alone, or resumed runs differ. */
export interface BatchSource {
  readonly batchesPerEpoch: number;
  /** What the batches are of, so that a run knows its data again when it goes on. */
  readonly dataset?: CocoDataset;
  /** The batches of one epoch. */
  batches(epoch: number, options?: BatchesOptions): AsyncIterable<TrainingBatch>;
}
