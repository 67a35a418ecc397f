import { Random, uniformAt } from "@dfine/tensor";
import type { CocoDataset } from "../../data/coco.ts";
import { DatasetError } from "../../data/errors.ts";
import { flipBoxes } from "../../data/flip.ts";
import { toTensorData } from "../../data/image.ts";
import { type Targets, trainingTargets } from "../../data/targets.ts";
import { createImageSource } from "./imageSource.ts";

/** One batch in typed arrays; nothing in it is shared with later batches. */
export interface Batch {
  /** [B, 3, H, W], RGB / 255. */
  readonly images: Float32Array;
  /** [B, 3, H, W]. */
  readonly shape: readonly [number, number, number, number];
  /** Per image; boxes as fractions of the image. */
  readonly targets: readonly Targets[];
  readonly imageIds: readonly number[];
  /** Per image, width and height in pixels before resizing. */
  readonly origSizes: readonly (readonly [width: number, height: number])[];
  readonly epoch: number;
  /** Position of the batch in its epoch. */
  readonly index: number;
}

/** What `createLoader` needs to know. */
export interface LoaderOptions {
  readonly dataset: CocoDataset;
  /** Folder that the images' file names start from. */
  readonly imageRoot: string;
  /** Network input [height, width]; images are resized to it, their aspect ratio is not kept. */
  readonly size: readonly [number, number];
  readonly batchSize: number;
  /** Shuffle, flip and drop the last partial batch. Without it: images in id order, all of them, as they are. */
  readonly training: boolean;
  /** Chooses order and flips, together with the epoch. Default 0. */
  readonly seed?: number;
  /** Probability of mirroring an image in training. Default 0.5; 0 where left and right matter, as for digits. */
  readonly flip?: number;
  /** Batches prepared ahead of the one in use. Default 1. */
  readonly prefetch?: number;
  /** Memory for resized images, kept for later epochs, in bytes. Default 512 MB. */
  readonly cacheBytes?: number;
  /** Largest image that is decoded, in pixels. */
  readonly maxPixels?: number;
}

/** Where to start in an epoch, and how to stop. */
export interface BatchesOptions {
  /** First batch; those before it are not prepared. Default 0. */
  readonly start?: number;
  /** Ends the iteration with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Batches of a data set, epoch by epoch. (seed, epoch, index) determines a batch, so resuming is exact. */
export interface Loader {
  readonly batchesPerEpoch: number;
  /** Epoch `epoch`, batch after batch; images are decoded beside whatever the caller does meanwhile. @throws ImageError */
  batches(epoch: number, options?: BatchesOptions): AsyncGenerator<Batch, void, undefined>;
}

/**
 * Makes a loader for training or evaluation.
 * @throws DatasetError when there are no images, or too few for one training batch
 */
export function createLoader(options: LoaderOptions): Loader {
  const { dataset, batchSize, training, prefetch = 1 } = options;
  const count = dataset.images.length;
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    throw new RangeError(`createLoader: batchSize is ${batchSize}. It must be a whole number from 1 on.`);
  }
  if (count === 0) throw new DatasetError(dataset.file, "lists no images", "List at least one under images.");
  if (training && count < batchSize) {
    throw new DatasetError(
      dataset.file,
      `lists ${count} images, which do not fill one batch of ${batchSize}`,
      `Use a batch of at most ${count}.`,
    );
  }
  const batchesPerEpoch = training ? Math.floor(count / batchSize) : Math.ceil(count / batchSize);
  const prepare = batchMaker(options);

  async function* batches(epoch: number, { start = 0, signal }: BatchesOptions = {}) {
    const pending: Promise<Batch>[] = [];
    let next = start;
    while (next < batchesPerEpoch || pending.length > 0) {
      signal?.throwIfAborted();
      while (next < batchesPerEpoch && pending.length <= prefetch) {
        const batch = prepare(epoch, next++, signal);
        // Its failure is met when its turn comes; until then it must not count as unhandled.
        batch.catch(() => {});
        pending.push(batch);
      }
      const batch = await pending.shift()!;
      signal?.throwIfAborted();
      yield batch;
    }
  }
  return { batchesPerEpoch, batches };
}

function batchMaker(options: LoaderOptions) {
  const { dataset, size, batchSize, training, seed = 0, flip = 0.5 } = options;
  const [height, width] = size;
  const source = createImageSource(options);

  return async (epoch: number, index: number, signal: AbortSignal | undefined): Promise<Batch> => {
    const count = dataset.images.length;
    const random = new Random(seed).fork(`epoch ${epoch}`);
    const order = training ? random.fork("order").permutation(count) : undefined;
    const flips = random.fork("flips").state.key;
    const first = index * batchSize;
    const slots = Array.from({ length: Math.min(batchSize, count - first) }, (_, slot) => {
      const position = first + slot;
      const image = dataset.images[order?.[position] ?? position]!;
      return { image, flipped: training && uniformAt(flips, position) < flip };
    });
    const plane = 3 * height * width;
    const images = new Float32Array(slots.length * plane);
    const targets = await Promise.all(
      slots.map(async ({ image, flipped }, slot): Promise<Targets> => {
        toTensorData(await source(image, signal), images, { offset: slot * plane, flip: flipped });
        const { labels, boxes } = trainingTargets(dataset, image, training ? { size } : {});
        return { labels, boxes: flipped ? flipBoxes(boxes) : boxes };
      }),
    );
    return {
      images,
      shape: [slots.length, 3, height, width],
      targets,
      imageIds: slots.map(({ image }) => image.id),
      origSizes: slots.map(({ image }) => [image.width, image.height] as const),
      epoch,
      index,
    };
  };
}
