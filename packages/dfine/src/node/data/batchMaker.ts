import { Random, uniformAt } from "@dfine/tensor";
import { type AugmentationConfig, augmenter, giveSize } from "../../data/augment/augmentations.ts";
import type { Sample } from "../../data/augment/sample.ts";
import type { CocoImage } from "../../data/dataset.ts";
import { ImageError } from "../../data/errors.ts";
import type { RgbImage } from "../../data/image.ts";
import { type InputBatch, type Resize, stackInputs, toInputs } from "../../data/inputFit.ts";
import { type BatchSize, drawSize, resizeNearest } from "../../data/multiScale.ts";
import { annotatedBoxes, toTargets } from "../../data/targets.ts";
import type { TrainingBatch } from "../../train/batch.ts";
import { type BrokenImagesOptions, brokenImages } from "./brokenImages.ts";
import type { DatasetSplit } from "./datasetParts.ts";
import { createImageSource, type ImageSourceOptions } from "./imageSource.ts";

/** A batch that is shared with no later one. */
export interface Batch extends TrainingBatch {
  readonly epoch: number;
}

/** What determines the batches of all epochs: plain data, so that threads can be given it. */
export interface BatchPlan extends DatasetSplit, ImageSourceOptions, Pick<BrokenImagesOptions, "mostBroken"> {
  /** Network input [height, width]. */
  readonly size: BatchSize;
  /** How images come to that size: the model's own way. Default "squeeze". */
  readonly resize?: Resize;
  readonly batchSize: number;
  /** Shuffle, augment and drop the last partial batch. Without it: images in id order, all of them, as they are. */
  readonly training: boolean;
  /** Chooses order and augmentation, together with the epoch. Default 0. */
  readonly seed?: number;
  /** What changes images in training, in order. Default none. */
  readonly transforms?: readonly AugmentationConfig[];
  /** Epoch from which strong augmentations and other sizes than `size` stop. Default never. */
  readonly stopEpoch?: number;
  /** How often `size` stands in the list of sizes that batches are drawn from; null: always `size`. Default null. */
  readonly baseSizeRepeat?: number | null;
}

/** Makes one batch of an epoch; the same one wherever it is made. */
export type BatchMaker = (epoch: number, index: number, signal?: AbortSignal) => Promise<Batch>;

/** An image that stands in a batch, and what it holds. */
interface Slot {
  readonly image: CocoImage;
  readonly sample: Sample;
}

/**
 * Makes batches from files. In training the next image of the epoch's order stands in for one that cannot be used; in
 * evaluation it is left out.
 */
export function createBatchMaker(plan: BatchPlan, broken = brokenImages(plan.dataset, plan)): BatchMaker {
  const { dataset, size, batchSize, training, seed = 0, stopEpoch = Number.POSITIVE_INFINITY } = plan;
  const { transforms = [], baseSizeRepeat = null, resize = "squeeze" } = plan;
  const count = dataset.images.length;
  const source = createImageSource(plan);
  const augments = {
    strong: augmenter(transforms, { strong: true, size }),
    calm: augmenter(transforms, { strong: false, size }),
  };
  const isSized = training && resize === "shortestEdge" && giveSize(transforms);

  /** Undefined for an image that cannot be used. @throws DatasetError when there are too many of them */
  async function read(image: CocoImage, signal: AbortSignal | undefined): Promise<RgbImage | undefined> {
    if (broken.has(image)) return undefined;
    try {
      return await source(image, signal);
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      broken.add({ id: image.id, fileName: image.fileName, message: error.message });
      return undefined;
    }
  }

  return async (epoch, index, signal) => {
    const random = new Random(seed).fork(`epoch ${epoch}`);
    const order = training ? random.fork("order").permutation(count) : undefined;
    const isStrong = epoch < stopEpoch;
    const augment = augments[isStrong ? "strong" : "calm"];

    /** The image of a place in the epoch or, in training, the first one after it that can be used. */
    const usable = async (place: number): Promise<Slot | undefined> => {
      for (let i = place; i < place + (training ? count : 1); i++) {
        const image = dataset.images[order?.[i % count] ?? i]!;
        const pixels = await read(image, signal);
        if (!pixels) continue;
        const { labels, boxes } = annotatedBoxes(dataset, image);
        return { image, sample: { image: pixels, labels, boxes } };
      }
      return undefined;
    };
    const load = async (place: number): Promise<Slot[]> => {
      const slot = await usable(place);
      if (!slot || !training) return slot ? [slot] : [];
      const another = async (draw: number) => ((await usable(Math.floor(draw * count))) ?? slot).sample;
      return [{ ...slot, sample: await augment(slot.sample, random.fork(`place ${place}`), another) }];
    };

    const first = index * batchSize;
    const places = Array.from({ length: Math.min(batchSize, count - first) }, (_, slot) => first + slot);
    const slots = (await Promise.all(places.map(load))).flat();
    const draw = uniformAt(random.fork("sizes").state.key, index);
    const drawn = training && isStrong && baseSizeRepeat !== null ? drawSize(size, baseSizeRepeat, draw) : undefined;
    const samples = slots.map(({ sample }) => sample);
    const images = samples.map(({ image }) => image);
    const minSide = training && resize !== "shortestEdge" ? 1 : 0;
    const inputs = isSized ? stackInputs(images, (i) => images[i]!) : toInputs(images, size, resize);
    return {
      ...(drawn ? scaled(inputs, drawn) : inputs),
      targets: samples.map((sample) => toTargets(sample, sample.image, { size, resize, minSide })),
      imageIds: slots.map(({ image }) => image.id),
      origSizes: slots.map(({ image }) => [image.width, image.height] as const),
      ...{ resize, epoch, index },
    };
  };
}

/** Images of one size resized to another. */
function scaled(batch: InputBatch, [height, width]: BatchSize): InputBatch {
  const [count, channels, ...from] = batch.shape;
  return { images: resizeNearest(batch.images, from, [height, width]), shape: [count, channels, height, width] };
}
