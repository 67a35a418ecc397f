import type { Random } from "@dfine/tensor";
import type { RgbImage } from "../image.ts";

/** An image and what it holds, on its way to the network. */
export interface Sample {
  readonly image: RgbImage;
  /** [N], positions in the data set's categories. */
  readonly labels: Int32Array;
  /** [N, 4], xyxy in pixels of the image. */
  readonly boxes: Float32Array;
}

/** What an augmentation draws from. */
export type Draws = Pick<Random, "uniform" | "integer" | "permutation">;

/**
 * Changes a sample by chance: the same draws, the same change. `others` are further samples of the data set, as they are on
 * the disk, as many as the augmentation asks for. Samples given stay as they are.
 */
export type Augment = (sample: Sample, random: Draws, others: readonly Sample[]) => Sample;

/** A number between `low` and `high`, as evenly as the source draws. */
export const between = (random: Draws, [low, high]: readonly [number, number]): number =>
  low + (high - low) * random.uniform();

/** Keeps the boxes for which `holds`, with their labels. */
export function keepBoxes(sample: Sample, holds: (box: Float32Array) => boolean): Sample {
  const kept = Array.from(sample.labels.keys()).filter((i) => holds(sample.boxes.subarray(4 * i, 4 * i + 4)));
  return {
    image: sample.image,
    labels: Int32Array.from(kept, (i) => sample.labels[i]!),
    boxes: Float32Array.from(kept.flatMap((i) => [...sample.boxes.subarray(4 * i, 4 * i + 4)])),
  };
}

/** Boxes moved by (x, y) and cut at the edges of an image of `size`, in float32 as tensors are. */
export function shiftBoxes(boxes: Float32Array, [x, y]: readonly [number, number], size: Size): Float32Array {
  const shift = [x, y];
  const limit = [size.width, size.height];
  return boxes.map((value, i) => Math.min(Math.max(Math.fround(value + shift[i % 2]!), 0), limit[i % 2]!));
}

/** Boxes of an image that is resized. */
export function scaleBoxes(boxes: Float32Array, from: Size, to: Size): Float32Array {
  const scale = [to.width / from.width, to.height / from.height];
  return boxes.map((value, i) => value * scale[i % 2]!);
}

/** Labels and boxes of several samples, one after the other. */
export const joined = (samples: readonly Pick<Sample, "labels" | "boxes">[]): Pick<Sample, "labels" | "boxes"> => ({
  labels: Int32Array.from(samples.flatMap(({ labels }) => [...labels])),
  boxes: Float32Array.from(samples.flatMap(({ boxes }) => [...boxes])),
});

/** Width and height in pixels. */
export type Size = Pick<RgbImage, "width" | "height">;
