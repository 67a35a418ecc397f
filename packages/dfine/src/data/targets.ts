import type { CocoAnnotation, CocoDataset, CocoImage } from "./dataset.ts";
import { inputFrame, type Resize, shortestEdge } from "./inputFit.ts";

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
  /** How images come to that size. Default "squeeze". */
  readonly resize?: Resize;
  /** Shortest side that is kept, pixels at that size. Default 1. */
  readonly minSide?: number;
}

/** An image's annotations as boxes in its pixels, and how many were cut or left out. */
export interface AnnotatedBoxes extends Pick<TrainingTargets, "labels" | "clipped" | "dropped" | "crowd"> {
  /** [N, 4], xyxy in pixels, inside the image. */
  readonly boxes: Float32Array;
}

/** Reads an image's annotations: without crowds, clamped to the image, without boxes of no area. docs/specification.md §12. */
export function annotatedBoxes(dataset: CocoDataset, image: CocoImage): AnnotatedBoxes {
  const annotations = dataset.annotationsByImage.get(image.id) ?? [];
  const labels: number[] = [];
  const boxes: number[] = [];
  let clipped = 0;
  let dropped = 0;
  for (const { categoryId, bbox, iscrowd } of annotations) {
    if (iscrowd) continue;
    const given = corners(bbox);
    const box = given.map((value, i) => clamp(value, i % 2 ? image.height : image.width));
    const [x1, y1, x2, y2] = box as [number, number, number, number];
    // As fractions, sides may be less than float32 can tell from 0.
    if (!(Math.fround((x2 - x1) / image.width) > 0 && Math.fround((y2 - y1) / image.height) > 0)) {
      dropped++;
      continue;
    }
    if (box.some((value, i) => value !== given[i])) clipped++;
    labels.push(dataset.labels.get(categoryId)!);
    boxes.push(x1, y1, x2, y2);
  }
  const crowd = annotations.filter(({ iscrowd }) => iscrowd).length;
  return { labels: Int32Array.from(labels), boxes: Float32Array.from(boxes), clipped, dropped, crowd };
}

/** Boxes [N, 4] (xyxy in pixels of `image`) as targets; those too small at the network's input `size` are left out. */
export function toTargets(
  { labels, boxes }: Targets,
  image: { readonly width: number; readonly height: number },
  { size, resize = "squeeze", minSide = 1 }: TrainingTargetsOptions = {},
): Targets & { readonly tiny: number } {
  const frame = size ? inputFrame(image, size, resize) : { ...image, left: 0, top: 0 };
  const input =
    size && (resize === "shortestEdge" ? shortestEdge(image, ...size) : { height: size[0], width: size[1] });
  const kept: number[] = [];
  const fractions: number[] = [];
  for (const [i, label] of labels.entries()) {
    const [x1, y1, x2, y2] = boxes.subarray(4 * i, 4 * i + 4) as unknown as [number, number, number, number];
    const width = Math.fround((x2 - x1) / frame.width);
    const height = Math.fround((y2 - y1) / frame.height);
    if (input && (width * input.width < minSide || height * input.height < minSide)) continue;
    kept.push(label);
    fractions.push(
      ((x1 + x2) / 2 - frame.left) / frame.width,
      ((y1 + y2) / 2 - frame.top) / frame.height,
      ...[width, height],
    );
  }
  return { labels: Int32Array.from(kept), boxes: Float32Array.from(fractions), tiny: labels.length - kept.length };
}

/** Turns an image's annotations into targets, as `annotatedBoxes` reads them. */
export function trainingTargets(
  dataset: CocoDataset,
  image: CocoImage,
  options: TrainingTargetsOptions = {},
): TrainingTargets {
  const found = annotatedBoxes(dataset, image);
  return { ...found, ...toTargets(found, image, options) };
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
