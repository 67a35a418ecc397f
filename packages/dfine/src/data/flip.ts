import { createImage, type RgbImage } from "./image.ts";

/** Mirrors an image left to right. */
export function flipImage(image: RgbImage): RgbImage {
  const { width, height, data } = image;
  const out = createImage(width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * 3;
      const to = (y * width + width - 1 - x) * 3;
      out.data.set(data.subarray(from, from + 3), to);
    }
  return out;
}

/** Mirrors boxes [N, 4] (cxcywh, 0–1) left to right. */
export function flipBoxes(boxes: Float32Array): Float32Array {
  return boxes.map((value, i) => (i % 4 === 0 ? 1 - value : value));
}
