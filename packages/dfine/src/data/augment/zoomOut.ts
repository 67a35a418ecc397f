import { createImage, type RgbImage } from "../image.ts";
import { type Augment, type Draws, type Sample, type Size, shiftBoxes } from "./sample.ts";

/** By how much the canvas may be longer than the image, and how often it is. */
export interface ZoomOutOptions {
  readonly sideRange: readonly [low: number, high: number];
  readonly probability: number;
}

/** A larger canvas, and where the image lies on it. */
export interface Canvas extends Size {
  readonly left: number;
  readonly top: number;
}

/** Draws a canvas as torchvision does, in float32: one factor for both sides, then the place. */
export function drawCanvas({ width, height }: Size, [low, high]: readonly [number, number], random: Draws): Canvas {
  const scale = Math.fround(low + Math.fround(random.uniform() * (high - low)));
  const part = (length: number, share: number) => Math.trunc(Math.fround(length * share));
  const canvas = { width: part(width, scale), height: part(height, scale) };
  const left = part(canvas.width - width, random.uniform());
  const top = part(canvas.height - height, random.uniform());
  return { ...canvas, left, top };
}

/** The image on a black canvas, its boxes with it. */
export function zoomOutTo({ image, labels, boxes }: Sample, canvas: Canvas): Sample {
  const { left, top } = canvas;
  return { image: paste(image, canvas), labels, boxes: shiftBoxes(boxes, [left, top], canvas) };
}

function paste(image: RgbImage, { left, top, ...size }: Canvas): RgbImage {
  const out = createImage(size.width, size.height);
  const row = 3 * image.width;
  for (let y = 0; y < image.height; y++)
    out.data.set(image.data.subarray(y * row, (y + 1) * row), 3 * ((top + y) * size.width + left));
  return out;
}

/** Puts the image somewhere on a larger black canvas: torchvision's RandomZoomOut. */
export const zoomOut =
  ({ sideRange, probability }: ZoomOutOptions): Augment =>
  (sample, random) =>
    random.uniform() < probability ? zoomOutTo(sample, drawCanvas(sample.image, sideRange, random)) : sample;
