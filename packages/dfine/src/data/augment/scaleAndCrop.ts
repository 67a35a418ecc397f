import { shortestEdge } from "../inputFit.ts";
import type { BatchSize } from "../multiScale.ts";
import { resizeBilinear } from "../resize.ts";
import { type Crop, cut } from "./crop.ts";
import { type Augment, type Draws, keepBoxes, type Sample, type Size, scaleBoxes, shiftBoxes } from "./sample.ts";

/** Sizes that images get, as shares of the model's shorter side. */
export interface ScaleAndCropOptions {
  readonly probability: number;
  /** Shorter sides that an image ends with. */
  readonly scales: readonly number[];
  /** Shorter sides from which a crop is taken. */
  readonly cropScales: readonly number[];
  /** Smallest and largest side of a crop. */
  readonly crop: readonly [low: number, high: number];
}

/** The sample resized, its boxes with it. */
export function resizedTo(sample: Sample, size: Size): Sample {
  const { image, labels, boxes } = sample;
  if (size.width === image.width && size.height === image.height) return sample;
  return {
    image: resizeBilinear(image, size.width, size.height),
    labels,
    boxes: scaleBoxes(boxes, image, size),
  };
}

/** What of the sample lies in the crop: boxes are cut at its edges, and those that have no area left are dropped. */
export function partIn({ image, labels, boxes }: Sample, crop: Crop): Sample {
  const part = { image: cut(image, crop), labels, boxes: shiftBoxes(boxes, [-crop.left, -crop.top], crop) };
  return keepBoxes(part, ([x1, y1, x2, y2]) => x2! > x1! && y2! > y1!);
}

const among = <T>(random: Draws, list: readonly T[]): T => list[random.integer(list.length)]!;

/** Draws a crop whose sides are between two numbers of pixels, as far as the image has them. */
export function drawCropWithin({ width, height }: Size, [low, high]: readonly [number, number], random: Draws): Crop {
  const side = (length: number) => {
    const [least, most] = [Math.min(low, length), Math.min(high, length)];
    return least + random.integer(most - least + 1);
  };
  const size = { width: side(width), height: side(height) };
  const place = (room: number) => random.integer(room + 1);
  const top = place(height - size.height);
  return { ...size, top, left: place(width - size.width) };
}

/**
 * Brings images to the size that the network takes them at: one of several shorter sides, of the whole image, or by chance of a
 * part of it. For a model of shortest edge 800 the usual shares are DETR's 480 to 800, crops of 384 to 600.
 */
export const scaleAndCrop =
  ({ probability, scales, cropScales, crop }: ScaleAndCropOptions) =>
  ([shortest, longest]: BatchSize): Augment =>
  (sample, random) => {
    const pixels = (share: number) => Math.max(1, Math.round(share * shortest));
    const scaled = (given: Sample, shares: readonly number[], limit?: number) =>
      resizedTo(given, shortestEdge(given.image, pixels(among(random, shares)), limit));
    const low = pixels(crop[0]);
    const part = (whole: Sample) =>
      partIn(whole, drawCropWithin(whole.image, [low, Math.max(low, pixels(crop[1]))], random));
    const given = random.uniform() < probability ? part(scaled(sample, cropScales)) : sample;
    return scaled(given, scales, longest);
  };
