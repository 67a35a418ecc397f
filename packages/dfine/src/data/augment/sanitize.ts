import { type Augment, keepBoxes } from "./sample.ts";

/** Leaves out boxes with a side under `minSize` pixels or outside the image: torchvision's SanitizeBoundingBoxes. */
export const sanitize =
  ({ minSize }: { readonly minSize: number }): Augment =>
  (sample) => {
    const { width, height } = sample.image;
    return keepBoxes(sample, ([x1, y1, x2, y2]) => {
      const sides = [Math.fround(x2! - x1!), Math.fround(y2! - y1!)];
      return Math.min(...sides) >= minSize && Math.min(x1!, y1!) >= 0 && x2! <= width && y2! <= height;
    });
  };
