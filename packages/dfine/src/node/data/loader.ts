import { Random, uniformAt } from "@dfine/tensor";
import { ConfigError } from "../../config/config.ts";
import type { CocoDataset, CocoImage } from "../../data/dataset.ts";
import { DatasetError, ImageError } from "../../data/errors.ts";
import { flipBoxes } from "../../data/flip.ts";
import { type RgbImage, toTensorData } from "../../data/image.ts";
import { type Targets, trainingTargets } from "../../data/targets.ts";
import * as rule from "../../optionRules.ts";
import type { BatchesOptions, BatchSource, TrainingBatch } from "../../train/batch.ts";
import { type BrokenImage, type BrokenImagesOptions, brokenImages } from "./brokenImages.ts";
import { createImageSource, type ImageSourceOptions } from "./imageSource.ts";
import type { DatasetSplit } from "./loadDataYaml.ts";

/** A batch that is shared with no later one. */
export interface Batch extends TrainingBatch {
  readonly epoch: number;
}

/** What `createLoader` needs to know. */
export interface LoaderOptions extends BrokenImagesOptions, DatasetSplit, ImageSourceOptions {
  readonly batchSize: number;
  /** Shuffle, flip and drop the last partial batch. Without it: images in id order, all of them, as they are. */
  readonly training: boolean;
  /** Chooses order and flips, together with the epoch. Default 0. */
  readonly seed?: number;
  /** Probability of mirroring an image in training. Default 0.5; 0 where left and right matter, as for digits. */
  readonly flip?: number;
  /** Batches prepared ahead of the one in use. Default 1. */
  readonly prefetch?: number;
}

/** Batches of a data set, epoch by epoch. (seed, epoch, index) determines a batch, so resuming is exact. */
export interface Loader extends BatchSource {
  readonly dataset: CocoDataset;
  /** Images met so far that cannot be used. */
  readonly broken: readonly BrokenImage[];
  /**
   * Epoch `epoch`, batch after batch; images are decoded beside whatever the caller does meanwhile. In training the next
   * image of the epoch's order stands in for one that cannot be used; in evaluation it is left out of its batch, so that it
   * counts as an image in which nothing was found.
   * @throws DatasetError when too many images cannot be used
   */
  batches(epoch: number, options?: BatchesOptions): AsyncGenerator<Batch, void, undefined>;
}

/** Bytes that one batch may take: as many as WebAssembly can address. */
const LARGEST_BATCH = 2 ** 32;

const OPTIONS: rule.OptionRules<LoaderOptions> = {
  dataset: rule.needed(rule.thing),
  imageRoot: rule.needed(rule.text),
  size: rule.needed(rule.listOf(2, 1)),
  cacheBytes: rule.whole(0),
  maxPixels: rule.whole(1),
  batchSize: rule.needed(rule.whole(1)),
  training: rule.needed(rule.flag),
  seed: rule.whole(0),
  flip: rule.between(0, 1),
  prefetch: rule.whole(0),
  mostBroken: rule.between(0, 1),
  onBroken: rule.callable,
};

/**
 * Makes a loader for training or evaluation.
 * @throws DatasetError when there are no images, or too few for one training batch
 * @throws ConfigError for a batch that no device could take, ArgumentError for options
 */
export function createLoader(options: LoaderOptions): Loader {
  rule.checkOptions("createLoader", options, OPTIONS);
  const { dataset, batchSize, training, prefetch = 1 } = options;
  const count = dataset.images.length;
  if (count === 0) throw new DatasetError(dataset.file, "lists no images", "List at least one under images.");
  if (training && count < batchSize)
    throw new DatasetError(
      dataset.file,
      `lists ${count} images, which do not fill one batch of ${batchSize}`,
      `Use a batch of at most ${count}.`,
    );
  const [height, width] = options.size;
  const imageBytes = 4 * 3 * height * width;
  if (batchSize * imageBytes > LARGEST_BATCH)
    throw new ConfigError(
      `batch: ${batchSize} images of ${height}x${width} take ${((batchSize * imageBytes) / 1e9).toFixed(1)} GB, more than any device here can address; use at most ${Math.floor(LARGEST_BATCH / imageBytes)}`,
    );
  const batchesPerEpoch = training ? Math.floor(count / batchSize) : Math.ceil(count / batchSize);
  const broken = brokenImages(dataset, options);
  const prepare = batchMaker(options, broken);

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
      if (batch.imageIds.length > 0) yield batch;
    }
  }
  return {
    batchesPerEpoch,
    dataset,
    batches,
    get broken() {
      return broken.all();
    },
  };
}

function batchMaker(options: LoaderOptions, broken: ReturnType<typeof brokenImages>) {
  const { dataset, size, batchSize, training, seed = 0, flip = 0.5 } = options;
  const [height, width] = size;
  const count = dataset.images.length;
  const source = createImageSource(options);

  /** Undefined for an image that cannot be used. @throws DatasetError when there are too many of them */
  async function read(image: CocoImage, signal: AbortSignal | undefined): Promise<RgbImage | undefined> {
    if (broken.has(image)) return undefined;
    try {
      return await source(image, signal);
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      broken.add(image, error);
      return undefined;
    }
  }

  return async (epoch: number, index: number, signal: AbortSignal | undefined): Promise<Batch> => {
    const random = new Random(seed).fork(`epoch ${epoch}`);
    const order = training ? random.fork("order").permutation(count) : undefined;
    const flips = random.fork("flips").state.key;
    const first = index * batchSize;

    /** The image of a place in the epoch or, in training, the first one after it that can be used. */
    const load = async (place: number) => {
      const flipped = training && uniformAt(flips, place) < flip;
      for (let i = place; i < place + (training ? count : 1); i++) {
        const image = dataset.images[order?.[i % count] ?? i]!;
        const pixels = await read(image, signal);
        if (pixels) return [{ image, pixels, flipped }];
      }
      return [];
    };

    const places = Array.from({ length: Math.min(batchSize, count - first) }, (_, slot) => first + slot);
    const slots = (await Promise.all(places.map(load))).flat();
    const plane = 3 * height * width;
    const images = new Float32Array(slots.length * plane);
    for (const [slot, { pixels, flipped }] of slots.entries())
      toTensorData(pixels, images, { offset: slot * plane, flip: flipped });
    const targets = slots.map(({ image, flipped }): Targets => {
      const { labels, boxes } = trainingTargets(dataset, image, training ? { size } : {});
      return { labels, boxes: flipped ? flipBoxes(boxes) : boxes };
    });
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
