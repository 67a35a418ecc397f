import type { Config } from "../../config/config.ts";
import { largestSize } from "../../data/multiScale.ts";
import type { TrainData } from "../../train/batch.ts";
import type { DataPart } from "../runEvents.ts";
import { hasBatchThreads, usualWorkers } from "./batchThreads.ts";
import type { BrokenImagesOptions } from "./brokenImages.ts";
import type { DatasetSplit } from "./datasetParts.ts";
import { USUAL_CACHE } from "./imageSource.ts";
import { createLoader, type Loader } from "./loader.ts";

/** What preparing images may take. Batches do not depend on it. */
export interface LoaderResources {
  /** Threads that decode, augment and resize; 0: none. Default `usualWorkers()`. */
  readonly workers?: number | undefined;
  /** Memory for decoded images, kept for later epochs, of training and validation data together, in bytes. Default 512 MB. */
  readonly cacheBytes?: number | undefined;
}

/** The parts of a run's data, and who is told of images that cannot be used. */
export interface TrainLoadersOptions extends LoaderResources {
  readonly train: DatasetSplit;
  readonly val?: DatasetSplit | undefined;
  /** Who is told of each part's images. */
  readonly onBroken?: (part: DataPart) => NonNullable<BrokenImagesOptions["onBroken"]>;
}

/** The loaders that a configuration asks for. @throws DatasetError, ConfigError as `createLoader` */
export function trainLoaders(config: Config, options: TrainLoadersOptions): TrainData & Disposable {
  const { train, val, onBroken, workers = usualWorkers(), cacheBytes = USUAL_CACHE } = options;
  const { batch, valBatch, seed, augmentation, limits } = config.train;
  const all = train.dataset.images.length + (val?.dataset.images.length ?? 0);
  const loader = (part: DataPart, split: DatasetSplit, rest: { batchSize: number; training: boolean }): Loader =>
    createLoader({
      ...{ ...split, ...rest, workers, seed, ...augmentation },
      ...{
        size: config.model.evalSize,
        resize: config.model.resize,
        mostBroken: limits.brokenImages,
        maxPixels: limits.maxPixels,
      },
      cacheBytes: Math.floor((cacheBytes * split.dataset.images.length) / Math.max(1, all)),
      ...(onBroken ? { onBroken: onBroken(part) } : {}),
    });
  const training = loader("train", train, { batchSize: batch, training: true });
  const source = val && loader("val", val, { batchSize: valBatch, training: false });
  return {
    train: training,
    ...(val && source ? { val: { source, dataset: val.dataset } } : {}),
    [Symbol.dispose]() {
      training[Symbol.dispose]();
      source?.[Symbol.dispose]();
    },
  };
}

/** What preparing images takes, for people: threads, and the memory that it may come to. */
export function loaderNote(
  { model, train }: Config,
  { workers = usualWorkers(), cacheBytes }: LoaderResources,
): string {
  const [height, width] = largestSize(model.evalSize, train.augmentation.baseSizeRepeat);
  const batchBytes = 12 * train.batch * height * width;
  const threads = hasBatchThreads() ? workers : 0;
  const ahead = 1 + Math.max(1, threads);
  const by = threads === 0 ? "on the main thread" : threads === 1 ? "in a thread" : `in ${threads} threads`;
  return `images are prepared ${by}, ${ahead} batches ahead (up to ${megabytes(ahead * batchBytes)}); up to ${megabytes(cacheBytes ?? USUAL_CACHE)} of them are kept decoded (--workers, --cache)`;
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MB`;
