import type { CocoAnnotation, CocoDataset, CocoImage } from "./dataset.ts";
import { DatasetError } from "./errors.ts";

/** Pixels by which an honest box may leave its image: labelling tools round. */
const MARGIN = 2;
/** With fewer boxes nothing is concluded from them. */
const LEAST_BOXES = 5;
/** Share of boxes beyond their image from which another reading is looked for. */
const ODD_SHARE = 0.2;

type Numbers = CocoAnnotation["bbox"];

/** Another meaning of the four numbers. */
export interface Reading {
  readonly name: string;
  /** What to write instead. */
  readonly remedy: string;
  /** [left, top, right, bottom] of a box read so. */
  readonly corners: (bbox: Numbers) => Numbers;
}

const READINGS: readonly Reading[] = [
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

type Frame = Pick<CocoImage, "width" | "height">;

/** Whether a box read so goes from upper left to lower right, inside an image. */
export function fitsAs({ corners }: Reading, bbox: Numbers, { width, height }: Frame): boolean {
  const [left, top, right, bottom] = corners(bbox);
  return (
    left < right &&
    top < bottom &&
    Math.min(left, top) >= -MARGIN &&
    right <= width + MARGIN &&
    bottom <= height + MARGIN
  );
}

/**
 * What boxes plainly are in place of [x, y, width, height]: many leave their image, but the `share` of them (1: all) fit when
 * read so. Undefined where nothing says so.
 */
export function otherReading(
  boxes: readonly { readonly box: Numbers; readonly frame: Frame }[],
  share = 1,
): { readonly reading: Reading; readonly outside: number } | undefined {
  const isOut = ({ box: [x, y, w, h], frame }: (typeof boxes)[number]) =>
    x + w > frame.width + MARGIN || y + h > frame.height + MARGIN;
  const outside = boxes.filter(isOut).length;
  if (boxes.length < LEAST_BOXES || outside < ODD_SHARE * boxes.length) return undefined;
  const reading = READINGS.find(
    (one) => boxes.filter(({ box, frame }) => fitsAs(one, box, frame)).length >= share * boxes.length,
  );
  return reading && { reading, outside };
}

/**
 * Refuses a data set whose boxes are plainly in other units: fractions of the image, two corners or a centre where COCO
 * has a corner and a size. Any of them would train a model that finds nothing. @throws DatasetError
 */
export function checkBoxUnits({ file, images, annotationsByImage }: CocoDataset): void {
  const boxes = images.flatMap((frame) => annotationsByImage.get(frame.id)!.map(({ bbox }) => ({ box: bbox, frame })));
  const areFractions = boxes.every(({ box }) => box.every((side) => side <= 1) && box[0] >= 0 && box[1] >= 0);
  if (areFractions && boxes.some(({ box }) => !box.every(Number.isInteger)))
    throw new DatasetError(
      file,
      `all ${boxes.length} boxes lie between 0 and 1, so they are fractions of the image`,
      "COCO boxes are [x, y, width, height] in pixels: multiply by each image's width and height.",
    );
  const other = otherReading(boxes);
  if (other)
    throw new DatasetError(
      file,
      `${other.outside} of ${boxes.length} boxes leave their image, but all fit when read as ${other.reading.name}`,
      `COCO boxes are [x, y, width, height]: ${other.reading.remedy}.`,
    );
}
