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
