import { createImage, type RgbImage, toTensorData } from "./image.ts";
import { resizeBilinear } from "./resize.ts";

/** How images come to the network's input size. */
export const RESIZES = ["squeeze", "letterbox", "shortestEdge"] as const;
/**
 * "squeeze": to the input's width and height; "letterbox": evenly, centred on grey; "shortestEdge": evenly, the shorter side
 * to the size's first number, but the longer one to its second at most, so that images differ in size.
 */
export type Resize = (typeof RESIZES)[number];

/** Grey beside a letterboxed image, as Ultralytics has it. */
const GREY = 114;

type Size = Pick<RgbImage, "width" | "height">;

/** A rectangle, pixels. */
export interface Rectangle extends Size {
  readonly left: number;
  readonly top: number;
}

/** Rounds halves to the even number, as Python does. */
function roundEven(x: number): number {
  const low = Math.floor(x);
  if (x - low === 0.5) return low + (low % 2);
  return Math.round(x);
}

/** The size of an image whose shorter side becomes `shortest`, or less where the longer one would exceed `longest`. */
export function shortestEdge({ width, height }: Size, shortest: number, longest = Number.POSITIVE_INFINITY): Size {
  const [short, long] = [Math.min(width, height), Math.max(width, height)];
  const edge = (long / short) * shortest > longest ? Math.max(1, roundEven((longest * short) / long)) : shortest;
  if (short === edge) return { width, height };
  return width < height
    ? { width: edge, height: Math.trunc((edge * height) / width) }
    : { width: Math.trunc((edge * width) / height), height: edge };
}

/** Where an image lies in an input of [height, width], in the input's pixels; rounded as Ultralytics' LetterBox rounds. */
export function placeInInput(image: Size, [height, width]: readonly [number, number], resize: Resize): Rectangle {
  const corner = { left: 0, top: 0 };
  if (resize === "squeeze") return { ...corner, width, height };
  if (resize === "shortestEdge") return { ...corner, ...shortestEdge(image, height, width) };
  const scale = Math.min(height / image.height, width / image.width);
  const scaled = (side: number) => Math.max(1, Math.round(side * scale));
  const inner = { width: scaled(image.width), height: scaled(image.height) };
  return { ...inner, left: (width - inner.width) >> 1, top: (height - inner.height) >> 1 };
}

/** The input's own frame in pixels of the image: what boxes as fractions of the input are measured in. */
export function inputFrame(image: Size, size: readonly [number, number], resize: Resize): Rectangle {
  if (resize !== "letterbox") return { left: 0, top: 0, width: image.width, height: image.height };
  const { left, top, width, height } = placeInInput(image, size, resize);
  const [x, y] = [image.width / width, image.height / height];
  return { left: 0 - left * x, top: 0 - top * y, width: size[1] * x, height: size[0] * y };
}

/** An image at the network's input size [height, width]: see `Resize`. */
export function toInput(image: RgbImage, size: readonly [number, number], resize: Resize = "squeeze"): RgbImage {
  const { left, top, width, height } = placeInInput(image, size, resize);
  const resized = resizeBilinear(image, width, height);
  if (resize !== "letterbox" || (width === size[1] && height === size[0])) return resized;
  const out = createImage(size[1], size[0]);
  out.data.fill(GREY);
  for (let y = 0; y < height; y++)
    out.data.set(resized.data.subarray(3 * y * width, 3 * (y + 1) * width), 3 * ((top + y) * out.width + left));
  return out;
}

/** Images side by side as the network takes them. */
export interface InputBatch {
  /** [B, 3, H, W], RGB / 255. */
  readonly images: Float32Array;
  readonly shape: readonly [number, number, number, number];
  /** Height and width of each image, where some are padded with 0 at the right and at the bottom. */
  readonly validSizes?: readonly (readonly [height: number, width: number])[];
}

/** Images of which each comes from `input` at its turn, of the sizes foretold, padded to the largest height and width. */
export function stackInputs(sizes: readonly Size[], input: (i: number) => RgbImage): InputBatch {
  const height = Math.max(1, ...sizes.map((size) => size.height));
  const width = Math.max(1, ...sizes.map((size) => size.width));
  const plane = 3 * height * width;
  const images = new Float32Array(sizes.length * plane);
  for (const i of sizes.keys()) toTensorData(input(i), images, { offset: i * plane, size: { height, width } });
  const padded = sizes.some((size) => size.height < height || size.width < width);
  return {
    images,
    shape: [sizes.length, 3, height, width],
    ...(padded ? { validSizes: sizes.map((size) => [size.height, size.width] as const) } : {}),
  };
}

/** Images at the network's input size [height, width], padded where they differ. */
export function toInputs(images: readonly RgbImage[], size: readonly [number, number], resize: Resize): InputBatch {
  const [height, width] = size;
  const sizes = images.map((image) =>
    resize === "shortestEdge" ? placeInInput(image, size, resize) : { height, width },
  );
  return stackInputs(sizes, (i) => toInput(images[i]!, size, resize));
}
