import type { CocoDataset } from "./coco.ts";
import { DatasetError } from "./errors.ts";

/** Pixels by which an honest box may leave its image: labelling tools round. */
const MARGIN = 2;

/**
 * Refuses a data set whose boxes are plainly in other units: fractions of the image, or corners (x1, y1, x2, y2) where
 * COCO has a corner and a size. Either would train a model that finds nothing. @throws DatasetError
 */
export function checkBoxUnits(dataset: CocoDataset): void {
  let boxes = 0;
  let fractions = 0;
  let whole = 0;
  let outside = 0;
  let corners = 0;
  for (const { id, width, height } of dataset.images) {
    for (const { bbox } of dataset.annotationsByImage.get(id) ?? []) {
      const [x, y, w, h] = bbox;
      boxes++;
      if (x >= 0 && y >= 0 && x <= 1 && y <= 1 && w <= 1 && h <= 1) fractions++;
      if (bbox.every(Number.isInteger)) whole++;
      if (x + w > width + MARGIN || y + h > height + MARGIN) outside++;
      if (w > x && h > y && w <= width + MARGIN && h <= height + MARGIN) corners++;
    }
  }
  if (boxes > 0 && fractions === boxes && whole < boxes) {
    throw new DatasetError(
      dataset.file,
      `all ${boxes} boxes lie between 0 and 1, so they are fractions of the image`,
      "COCO boxes are [x, y, width, height] in pixels: multiply by each image's width and height.",
    );
  }
  if (boxes >= 5 && corners === boxes && outside >= 0.2 * boxes) {
    throw new DatasetError(
      dataset.file,
      `${outside} of ${boxes} boxes leave their image, but all fit when read as two corners [x1, y1, x2, y2]`,
      "COCO boxes are [x, y, width, height]: write x2 - x1 and y2 - y1 as the last two.",
    );
  }
}
