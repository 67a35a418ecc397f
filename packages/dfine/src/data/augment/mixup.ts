import { resizeBilinear } from "../resize.ts";
import { type Augment, type Draws, joined, type Sample, scaleBoxes } from "./sample.ts";

/** How images are blended. */
export interface MixupOptions {
  /** The first image's share is drawn from Beta(alpha, alpha). */
  readonly alpha: number;
  readonly probability: number;
}

/** Draws from Beta(alpha, alpha), for whole numbers: the middle one of 2 alpha - 1 even draws. */
export function drawShare(alpha: number, random: Draws): number {
  const draws = Float64Array.from({ length: 2 * alpha - 1 }, () => random.uniform()).sort();
  return draws[alpha - 1]!;
}

/** Two samples over each other, the second at the first one's size; all boxes stay. */
export function mixed(sample: Sample, other: Sample, share: number): Sample {
  const { image } = sample;
  const second = resizeBilinear(other.image, image.width, image.height);
  const data = image.data.map((value, i) => Math.trunc(value * share + second.data[i]! * (1 - share)));
  const boxes = scaleBoxes(other.boxes, other.image, image);
  return { image: { ...image, data }, ...joined([sample, { ...other, boxes }]) };
}

/** Blends the image with another: Ultralytics' MixUp. */
export const mixup =
  ({ alpha, probability }: MixupOptions): Augment =>
  (sample, random, [other]) =>
    random.uniform() < probability && other ? mixed(sample, other, drawShare(alpha, random)) : sample;
