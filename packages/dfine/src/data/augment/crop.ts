import { createImage, type RgbImage } from "../image.ts";
import type { Size } from "./sample.ts";

/** A part of an image. */
export interface Crop extends Size {
  readonly left: number;
  readonly top: number;
}

/** The part of an image that lies in the crop. */
export function cut(image: RgbImage, { left, top, width, height }: Crop): RgbImage {
  const out = createImage(width, height);
  for (let y = 0; y < height; y++) {
    const start = 3 * ((top + y) * image.width + left);
    out.data.set(image.data.subarray(start, start + 3 * width), 3 * y * width);
  }
  return out;
}
