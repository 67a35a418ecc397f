import type { CocoAnnotation, CocoDataset, CocoImage } from "./dataset.ts";
import { DatasetError } from "./errors.ts";

/** Pixels by which an honest box may leave its image: labelling tools round. */
const MARGIN = 2;
/** With fewer boxes nothing is concluded from them. */
const LEAST_BOXES = 5;
/** Share of boxes beyond their image from which another reading is looked for. */
const ODD_SHARE = 0.2;

type Numbers = CocoAnnotation["bbox"];

/** Other meanings of the four numbers: the corners [left, top, right, bottom] of a box read so, and what to write instead. */
const READINGS: readonly { name: string; remedy: string; corners: (bbox: Numbers) => Numbers }[] = [
  {
    name: "two corners [x1, y1, x2, y2]",
    remedy: "write x2 - x1 and y2 - y1 as the last two",
    corners: (bbox) => bbox,
  },
  {
    name: "two corners, rows first [y1, x1, y2, x2]",
    remedy: "write x1, y1, x2 - x1, y2 - y1",
    corners: ([y1, x1, y2, x2]) => [x1, y1, x2, y2],
  },
  {
    name: "two corners, the lower right one first [x2, y2, x1, y1]",
    remedy: "write x1, y1, x2 - x1, y2 - y1",
    corners: ([x2, y2, x1, y1]) => [x1, y1, x2, y2],
  },
  {
    name: "a centre and a size [cx, cy, width, height]",
    remedy: "subtract half of width and height from the first two",
    corners: ([cx, cy, w, h]) => [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2],
  },
];

/** Whether corners go from upper left to lower right, inside an image. */
const fits = ([left, top, right, bottom]: Numbers, { width, height }: CocoImage): boolean =>
  left < right &&
  top < bottom &&
  Math.min(left, top) >= -MARGIN &&
  right <= width + MARGIN &&
  bottom <= height + MARGIN;

/**
 * Refuses a data set whose boxes are plainly in other units: fractions of the image, two corners or a centre where COCO
 * has a corner and a size. Any of them would train a model that finds nothing. @throws DatasetError
 */
export function checkBoxUnits(dataset: CocoDataset): void {
  let boxes = 0;
  let fractions = 0;
  let whole = 0;
  let outside = 0;
  let fitting = READINGS;
  for (const image of dataset.images)
    for (const { bbox } of dataset.annotationsByImage.get(image.id) ?? []) {
      const [x, y, w, h] = bbox;
      boxes++;
      if (x >= 0 && y >= 0 && x <= 1 && y <= 1 && w <= 1 && h <= 1) fractions++;
      if (bbox.every(Number.isInteger)) whole++;
      if (x + w > image.width + MARGIN || y + h > image.height + MARGIN) outside++;
      fitting = fitting.filter(({ corners }) => fits(corners(bbox), image));
    }
  if (boxes > 0 && fractions === boxes && whole < boxes)
    throw new DatasetError(
      dataset.file,
      `all ${boxes} boxes lie between 0 and 1, so they are fractions of the image`,
      "COCO boxes are [x, y, width, height] in pixels: multiply by each image's width and height.",
    );
  const [meant] = fitting;
  if (meant && boxes >= LEAST_BOXES && outside >= ODD_SHARE * boxes)
    throw new DatasetError(
      dataset.file,
      `${outside} of ${boxes} boxes leave their image, but all fit when read as ${meant.name}`,
      `COCO boxes are [x, y, width, height]: ${meant.remedy}.`,
    );
}
