import type { CocoAnnotation, CocoDataset, CocoImage } from "./dataset.ts";

/** What an image should be found to hold. */
export interface Targets {
  /** [N], positions in the data set's categories. */
  readonly labels: Int32Array;
  /** [N, 4], cxcywh as fractions of the image. */
  readonly boxes: Float32Array;
}

/** Targets, and what became of the annotations that are not plainly among them. */
export interface TrainingTargets extends Targets {
  /** Boxes cut at the image's edge. */
  readonly clipped: number;
  /** Boxes left out: nothing of them inside the image. */
  readonly dropped: number;
  /** Boxes left out: under one pixel at the network's input size. */
  readonly tiny: number;
  /** Regions left out: iscrowd. */
  readonly crowd: number;
}

/** Options of `trainingTargets`. */
export interface TrainingTargetsOptions {
  /** The network's input [height, width]; boxes under one pixel there are left out, as torchvision's sanitising does. */
  readonly size?: readonly [number, number];
}

/**
 * Turns an image's annotations into targets: without crowds, clamped to the image, with boxes of no area left out.
 * docs/specification.md §12.
 */
export function trainingTargets(
  dataset: CocoDataset,
  image: CocoImage,
  options: TrainingTargetsOptions = {},
): TrainingTargets {
  const annotations = dataset.annotationsByImage.get(image.id) ?? [];
  const labels: number[] = [];
  const boxes: number[] = [];
  let clipped = 0;
  let dropped = 0;
  let tiny = 0;
  let crowd = 0;
  for (const { categoryId, bbox, iscrowd } of annotations) {
    if (iscrowd) {
      crowd++;
      continue;
    }
    const [left, top, right, bottom] = corners(bbox);
    const x1 = clamp(left, image.width);
    const y1 = clamp(top, image.height);
    const x2 = clamp(right, image.width);
    const y2 = clamp(bottom, image.height);
    const width = Math.fround((x2 - x1) / image.width);
    const height = Math.fround((y2 - y1) / image.height);
    if (!(width > 0 && height > 0)) {
      dropped++;
      continue;
    }
    if (options.size && (width * options.size[1] < 1 || height * options.size[0] < 1)) {
      tiny++;
      continue;
    }
    if (x1 !== left || y1 !== top || x2 !== right || y2 !== bottom) clipped++;
    labels.push(dataset.labels.get(categoryId)!);
    boxes.push((x1 + x2) / 2 / image.width, (y1 + y2) / 2 / image.height, width, height);
  }
  return { labels: Int32Array.from(labels), boxes: Float32Array.from(boxes), clipped, dropped, tiny, crowd };
}

/** xywh → xyxy in float32, as the official loader computes. */
function corners(bbox: CocoAnnotation["bbox"]): readonly [number, number, number, number] {
  const left = Math.fround(bbox[0]);
  const top = Math.fround(bbox[1]);
  return [left, top, Math.fround(left + Math.fround(bbox[2])), Math.fround(top + Math.fround(bbox[3]))];
}

function clamp(value: number, limit: number): number {
  return Math.min(Math.max(value, 0), limit);
}
