import { ArgumentError } from "@dfine/tensor";
import { ConfigError } from "../../config/config.ts";
import { AUGMENTATION_RECIPES, type AugmentationList, augmentationsSchema } from "../../data/augment/augmentations.ts";
import type { CocoDataset } from "../../data/dataset.ts";
import { DatasetError } from "../../data/errors.ts";
import { RESIZES } from "../../data/inputFit.ts";
import * as rule from "../../optionRules.ts";
import type { BatchesOptions, BatchSource } from "../../train/batch.ts";
import { type Batch, type BatchPlan, createBatchMaker } from "./batchMaker.ts";
import { batchThreads, hasBatchThreads } from "./batchThreads.ts";
import { type BrokenImage, type BrokenImagesOptions, brokenImages } from "./brokenImages.ts";

export type { Batch } from "./batchMaker.ts";

/** What `createLoader` needs to know. */
export interface LoaderOptions extends Omit<BatchPlan, "transforms">, BrokenImagesOptions {
  /** What changes images in training, in order. Default none. */
  readonly transforms?: AugmentationList;
  /** Batches prepared ahead of the one in use; at least one for each thread. Default 1. */
  readonly prefetch?: number;
  /** Threads that decode, augment and resize; 0: none beside the caller's. The batches are the same. Default 0. */
  readonly workers?: number;
}

/** Batches of a data set, epoch by epoch. (seed, epoch, index) determines a batch, so resuming is exact. */
export interface Loader extends BatchSource, Disposable {
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
  resize: rule.oneOf(RESIZES),
  cacheBytes: rule.whole(0),
  maxPixels: rule.whole(1),
  batchSize: rule.needed(rule.whole(1)),
  training: rule.needed(rule.flag),
  seed: rule.whole(0),
  transforms: {
    takes: `${Object.keys(AUGMENTATION_RECIPES).join(", ")}, or a list as train.augmentation.transforms has it`,
    fits: (list) => Array.isArray(list) || Object.hasOwn(AUGMENTATION_RECIPES, list as string),
    inside(op, name, list) {
      const [issue] = augmentationsSchema.safeParse(list).error?.issues ?? [];
      if (issue) throw new ArgumentError(`${op}: ${[name, ...issue.path].join(".")}: ${issue.message}`);
    },
  },
  stopEpoch: rule.whole(0),
  baseSizeRepeat: { takes: "a whole number from 1 on, or null", fits: (n) => n === null || rule.whole(1).fits(n) },
  prefetch: rule.whole(0),
  workers: rule.whole(0),
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
  const { dataset, batchSize, training, workers = 0 } = options;
  const count = dataset.images.length;
  if (count === 0) throw new DatasetError(dataset.file, "lists no images", "List at least one under images.");
  if (training && count < batchSize)
    throw new DatasetError(
      dataset.file,
      `lists ${count} images, which do not fill one batch of ${batchSize}`,
      `Use a batch of at most ${count}, or give more images.`,
    );
  const [height, width] = options.size;
  const imageBytes = 4 * 3 * height * width;
  if (batchSize * imageBytes > LARGEST_BATCH)
    throw new ConfigError(
      `batch: ${batchSize} images of ${height}x${width} take ${((batchSize * imageBytes) / 1e9).toFixed(1)} GB, more than any device here can address; use ${imageBytes > LARGEST_BATCH ? "a smaller size" : `at most ${Math.floor(LARGEST_BATCH / imageBytes)}`}`,
    );
  const batchesPerEpoch = training ? Math.floor(count / batchSize) : Math.ceil(count / batchSize);
  const broken = brokenImages(dataset, options);
  const threads = workers > 0 && hasBatchThreads() ? batchThreads(plan(options), workers, broken) : undefined;
  const prepare = threads ?? createBatchMaker(plan(options), broken);
  const prefetch = Math.max(options.prefetch ?? 1, workers);

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
    [Symbol.dispose]: () => threads?.end(),
  };
}

/** What determines the batches: the options without what is the caller's. */
function plan({ onBroken, prefetch, workers, transforms = "none", ...rest }: LoaderOptions): BatchPlan {
  return { ...rest, transforms: augmentationsSchema.parse(transforms) };
}
