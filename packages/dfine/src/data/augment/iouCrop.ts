import { type Crop, cut } from "./crop.ts";
import { type Augment, type Draws, keepBoxes, type Sample, type Size, shiftBoxes } from "./sample.ts";

/** Which crops are taken, and how often. */
export interface IouCropOptions {
  /** Sides of the crop as shares of the image's. */
  readonly scale: readonly [low: number, high: number];
  /** Width by height of the crop. */
  readonly aspectRatio: readonly [low: number, high: number];
  /** Least IoU of the crop with one of the boxes in it, drawn among these; from 1 on the image stays whole. */
  readonly minIou: readonly number[];
  /** Crops tried for one drawn IoU. */
  readonly trials: number;
  readonly probability: number;
}

type Box = Float32Array;

/** Whether a box has its centre inside the crop, edges excluded. */
function isCentred({ left, top, width, height }: Crop, box: Box): boolean {
  const x = 0.5 * Math.fround(box[0]! + box[2]!);
  const y = 0.5 * Math.fround(box[1]! + box[3]!);
  return left < x && x < left + width && top < y && y < top + height;
}

/** Intersection over union of the crop and a box, in float32. */
function iou({ left, top, width, height }: Crop, box: Box): number {
  const overlap = (start: number, end: number, [low, high]: readonly [number, number]) =>
    Math.max(0, Math.fround(Math.min(end, high) - Math.max(start, low)));
  const inner = Math.fround(
    overlap(left, left + width, [box[0]!, box[2]!]) * overlap(top, top + height, [box[1]!, box[3]!]),
  );
  const area = Math.fround(Math.fround(box[2]! - box[0]!) * Math.fround(box[3]! - box[1]!));
  return Math.fround(inner / Math.fround(Math.fround(width * height + area) - inner));
}

const rows = (boxes: Float32Array): Box[] =>
  Array.from({ length: boxes.length / 4 }, (_, i) => boxes.subarray(4 * i, 4 * i + 4));

/** A crop of one trial; undefined where its sides or its place do not do. */
function tryCrop({ width, height }: Size, options: IouCropOptions, random: Draws): Crop | undefined {
  const [low, high] = options.scale;
  const side = (length: number) =>
    Math.trunc(Math.fround(length * Math.fround(low + Math.fround((high - low) * random.uniform()))));
  const size = { width: side(width), height: side(height) };
  const ratio = size.width / size.height;
  if (!(ratio >= options.aspectRatio[0] && ratio <= options.aspectRatio[1])) return undefined;
  const place = (room: number) => Math.trunc(Math.fround(room * random.uniform()));
  const left = place(width - size.width);
  const top = place(height - size.height);
  return size.width > 0 && size.height > 0 ? { ...size, left, top } : undefined;
}

/**
 * Draws a crop as torchvision does; undefined leaves the image whole. Without boxes no crop would ever do, so that none is
 * tried.
 */
export function drawCrop({ image, boxes }: Sample, options: IouCropOptions, random: Draws): Crop | undefined {
  if (boxes.length === 0) return undefined;
  for (;;) {
    const least = options.minIou[random.integer(options.minIou.length)]!;
    if (least >= 1) return undefined;
    for (let trial = 0; trial < options.trials; trial++) {
      const crop = tryCrop(image, options, random);
      if (!crop) continue;
      const inside = rows(boxes).filter((box) => isCentred(crop, box));
      if (inside.length > 0 && Math.max(...inside.map((box) => iou(crop, box))) >= least) return crop;
    }
  }
}

/** The crop of the image with the boxes whose centres lie in it, cut at its edges. */
export function cropTo(sample: Sample, crop: Crop): Sample {
  const { labels, boxes } = keepBoxes(sample, (box) => isCentred(crop, box));
  return { image: cut(sample.image, crop), labels, boxes: shiftBoxes(boxes, [-crop.left, -crop.top], crop) };
}

/** Crops the image around boxes: torchvision's RandomIoUCrop. */
export const iouCrop =
  (options: IouCropOptions): Augment =>
  (sample, random) => {
    const crop = random.uniform() < options.probability ? drawCrop(sample, options, random) : undefined;
    return crop ? cropTo(sample, crop) : sample;
  };
