import type { Targets } from "../data/targets.ts";

/** Images and what they hold, in typed arrays: what a loader hands over, whatever it reads from. */
export interface TrainingBatch {
  /** [B, 3, H, W], RGB / 255. */
  readonly images: Float32Array;
  readonly shape: readonly [number, number, number, number];
  /** Per image; boxes as fractions of the image. */
  readonly targets: readonly Targets[];
  readonly imageIds: readonly number[];
  /** Per image, width and height in pixels before resizing. */
  readonly origSizes: readonly (readonly [width: number, height: number])[];
  /** Position of the batch in its epoch. */
  readonly index: number;
}

/** Batches epoch by epoch. A batch must follow from epoch and index alone, or resumed runs differ. */
export interface BatchSource {
  readonly batchesPerEpoch: number;
  /** The batches of one epoch, from `start` on. */
  batches(
    epoch: number,
    options?: { readonly start?: number; readonly signal?: AbortSignal },
  ): AsyncIterable<TrainingBatch>;
}
