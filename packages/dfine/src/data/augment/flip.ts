import { createImage, type RgbImage } from "../image.ts";
import type { Augment, Sample } from "./sample.ts";

/** Mirrors an image left to right. */
export function flipImage(image: RgbImage): RgbImage {
  const { width, height, data } = image;
  const out = createImage(width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * 3;
      const to = (y * width + width - 1 - x) * 3;
      out.data[to] = data[from]!;
      out.data[to + 1] = data[from + 1]!;
      out.data[to + 2] = data[from + 2]!;
    }
  return out;
}

/** The sample mirrored left to right. */
export function mirrored({ image, labels, boxes }: Sample): Sample {
  const { width } = image;
  return { image: flipImage(image), labels, boxes: boxes.map((_, i) => (i % 2 ? boxes[i]! : width - boxes[i ^ 2]!)) };
}

/** Mirrors left to right: torchvision's RandomHorizontalFlip. */
export const flip =
  ({ probability }: { readonly probability: number }): Augment =>
  (sample, random) =>
    random.uniform() < probability ? mirrored(sample) : sample;
