import { createImage, type RgbImage } from "./image.ts";
import { resizeBilinear } from "./resize.ts";

/** How images come to the network's input size. */
export const RESIZES = ["squeeze", "letterbox"] as const;
/** "squeeze": to the input's width and height; "letterbox": evenly, centred on grey. */
export type Resize = (typeof RESIZES)[number];

/** Grey beside a letterboxed image, as Ultralytics has it. */
const GREY = 114;

type Size = Pick<RgbImage, "width" | "height">;

/** A rectangle, pixels. */
export interface Rectangle extends Size {
  readonly left: number;
  readonly top: number;
}

/** Where an image lies in an input of [height, width], in the input's pixels; rounded as Ultralytics' LetterBox rounds. */
export function placeInInput(image: Size, [height, width]: readonly [number, number], resize: Resize): Rectangle {
  if (resize === "squeeze") return { left: 0, top: 0, width, height };
  const scale = Math.min(height / image.height, width / image.width);
  const scaled = (side: number) => Math.max(1, Math.round(side * scale));
  const inner = { width: scaled(image.width), height: scaled(image.height) };
  return { ...inner, left: (width - inner.width) >> 1, top: (height - inner.height) >> 1 };
}

/** The input's own frame in pixels of the image: what boxes as fractions of the input are measured in. */
export function inputFrame(image: Size, size: readonly [number, number], resize: Resize): Rectangle {
  if (resize === "squeeze") return { left: 0, top: 0, width: image.width, height: image.height };
  const { left, top, width, height } = placeInInput(image, size, resize);
  const [x, y] = [image.width / width, image.height / height];
  return { left: 0 - left * x, top: 0 - top * y, width: size[1] * x, height: size[0] * y };
}

/** An image at the network's input size [height, width]. */
export function toInput(image: RgbImage, size: readonly [number, number], resize: Resize = "squeeze"): RgbImage {
  const { left, top, width, height } = placeInInput(image, size, resize);
  const resized = resizeBilinear(image, width, height);
  if (width === size[1] && height === size[0]) return resized;
  const out = createImage(size[1], size[0]);
  out.data.fill(GREY);
  for (let y = 0; y < height; y++)
    out.data.set(resized.data.subarray(3 * y * width, 3 * (y + 1) * width), 3 * ((top + y) * out.width + left));
  return out;
}
