import { createImage, type RgbImage } from "./image.ts";

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

/** Mirrors boxes [N, 4] (cxcywh, 0–1) left to right. */
export function flipBoxes(boxes: Float32Array): Float32Array {
  const out = Float32Array.from(boxes);
  for (let i = 0; i < out.length; i += 4) out[i] = 1 - out[i]!;
  return out;
}
