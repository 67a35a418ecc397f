import { createImage, type RgbImage } from "../image.ts";
import { resizeBilinear } from "../resize.ts";
import { type Augment, between, type Draws, joined, keepBoxes, type Sample, scaleBoxes, shiftBoxes } from "./sample.ts";

/** How four images are put together, and which part of them is seen. */
export interface MosaicOptions {
  /** Longer side that each image is given, pixels: the network's, or near it. */
  readonly side: number;
  /** By how much the scale may differ from 1. */
  readonly scale: number;
  /** By how much the middle may move, as a share of `side`. */
  readonly translate: number;
  readonly probability: number;
}

/** Where four images meet on a canvas of twice `side`, and the square of it that is seen. */
export interface MosaicDraw {
  readonly centre: readonly [x: number, y: number];
  readonly window: { readonly left: number; readonly top: number; readonly side: number };
}

/** Where nothing is. */
const GREY = 114;
/** Boxes go of which less is left than this share, or than so many pixels at `side`. */
const LEAST = { share: 0.1, pixels: 2 };

/** Images besides the first. */
export const MOSAIC_OTHERS = 3;

/** Draws as Ultralytics does: where the images meet, then scale and shift. */
export function drawMosaic({ side, scale, translate }: MosaicOptions, random: Draws): MosaicDraw {
  const corner = () => Math.trunc(between(random, [side / 2, 1.5 * side]));
  const centre = [corner(), corner()] as const;
  const gain = between(random, [1 - scale, 1 + scale]);
  const start = () => Math.round(side - (side * between(random, [0.5 - translate, 0.5 + translate])) / gain);
  return { centre, window: { left: start(), top: start(), side: Math.max(1, Math.round(side / gain)) } };
}

/** Four samples around the centre, the first one above and left of it, as far as the window shows them. */
export function mosaicOf(samples: readonly Sample[], side: number, { centre, window }: MosaicDraw): Sample {
  const image = createImage(window.side, window.side);
  image.data.fill(GREY);
  const canvas = { width: 2 * side, height: 2 * side };
  const least = (LEAST.pixels * window.side) / side;
  const parts = samples.map((given, i) => {
    const tile = scaledTo(given, side);
    const left = centre[0] - (i % 2 ? 0 : tile.image.width);
    const top = centre[1] - (i < 2 ? tile.image.height : 0);
    paste(image, tile.image, { left, top, window, canvas: canvas.width });
    const whole = shiftBoxes(tile.boxes, [left, top], canvas);
    const seen = shiftBoxes(whole, [-window.left, -window.top], image);
    let at = 0;
    return keepBoxes({ ...tile, boxes: seen }, (box) => {
      const before = area(whole.subarray(at, at + 4));
      at += 4;
      return Math.min(box[2]! - box[0]!, box[3]! - box[1]!) > least && area(box) > LEAST.share * before;
    });
  });
  return { image, ...joined(parts) };
}

const area = (box: Float32Array): number => (box[2]! - box[0]!) * (box[3]! - box[1]!);

/** The sample with `side` as its longer side. */
function scaledTo({ image, labels, boxes }: Sample, side: number): Sample {
  const scale = side / Math.max(image.width, image.height);
  const [width, height] = [image.width, image.height].map((length) => Math.max(1, Math.round(length * scale)));
  const resized = resizeBilinear(image, width!, height!);
  return { image: resized, labels, boxes: scaleBoxes(boxes, image, resized) };
}

/** Copies what of `image`, which lies at (left, top) of a square canvas, the window shows. */
function paste(
  out: RgbImage,
  image: RgbImage,
  at: { readonly left: number; readonly top: number; readonly window: MosaicDraw["window"]; readonly canvas: number },
): void {
  const { left, top, window, canvas } = at;
  const seen = (start: number, length: number, first: number) =>
    [Math.max(0, start, first), Math.min(canvas, start + length, first + window.side)] as const;
  const [from, to] = seen(left, image.width, window.left);
  const [above, below] = seen(top, image.height, window.top);
  if (from >= to) return;
  for (let y = above; y < below; y++) {
    const start = 3 * ((y - top) * image.width + from - left);
    const target = 3 * ((y - window.top) * window.side + from - window.left);
    out.data.set(image.data.subarray(start, start + 3 * (to - from)), target);
  }
}

/** Puts the image together with three others: Ultralytics' Mosaic of four, with the scale and shift that follow it there. */
export const mosaic =
  (options: MosaicOptions): Augment =>
  (sample, random, others) =>
    random.uniform() < options.probability && others.length === MOSAIC_OTHERS
      ? mosaicOf([sample, ...others], options.side, drawMosaic(options, random))
      : sample;
