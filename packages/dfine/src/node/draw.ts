import type { RgbImage } from "../data/image.ts";
import type { DetectedObject } from "../result.ts";
import { fontLetters, GLYPH_HEIGHT, GLYPH_WIDTH, glyphPixel } from "./font.ts";
import { loadSharp } from "./optional.ts";
import { classColor } from "./palette.ts";

type Color = readonly [number, number, number];
type Rectangle = Readonly<Record<"x" | "y" | "width" | "height", number>>;

/** Pixels of the longer side that one unit of line and letter stands for. */
const PIXELS_PER_UNIT = 400;

/** A box to draw, with what is written on it. */
export interface Drawn extends Pick<DetectedObject, "classId" | "box"> {
  readonly text: string;
}

/** A copy of the image with boxes, class names and scores; the best object on top. */
export const drawObjects = (image: RgbImage, objects: readonly DetectedObject[]): RgbImage =>
  drawBoxes(
    image,
    objects.map(({ label, score, ...object }) => ({ ...object, text: `${label} ${score.toFixed(2)}` })),
  );

/** A copy of the image with boxes and their texts, in the colours of their classes; the first on top. */
export function drawBoxes(image: RgbImage, boxes: readonly Drawn[]): RgbImage {
  const out = { ...image, data: image.data.slice() };
  const unit = Math.max(1, Math.round(Math.max(image.width, image.height) / PIXELS_PER_UNIT));
  for (const { text, classId, box } of [...boxes].reverse()) {
    const color = classColor(classId);
    const x = Math.round(box.xmin);
    const y = Math.round(box.ymin);
    frame(out, { x, y, width: Math.round(box.xmax) - x, height: Math.round(box.ymax) - y }, { color, unit });
    caption(out, text, { x, y, color, unit });
  }
  return out;
}

/** The outline of a rectangle, inside it. */
function frame(image: RgbImage, at: Rectangle, style: { color: Color; unit: number }): void {
  const { x, y, width, height } = at;
  const thick = Math.min(2 * style.unit, width, height);
  fill(image, { x, y, width, height: thick }, style.color);
  fill(image, { x, y: y + height - thick, width, height: thick }, style.color);
  fill(image, { x, y, width: thick, height }, style.color);
  fill(image, { x: x + width - thick, y, width: thick, height }, style.color);
}

/** Black text on the class's colour: above the box where there is room, else inside it. */
function caption(image: RgbImage, text: string, at: { x: number; y: number; color: Color; unit: number }): void {
  const { color, unit } = at;
  const letters = fontLetters(text);
  const advance = (GLYPH_WIDTH + 1) * unit;
  const width = letters.length * advance + unit;
  const height = (GLYPH_HEIGHT + 2) * unit;
  const x = Math.max(0, Math.min(at.x, image.width - width));
  const y = at.y >= height ? at.y - height : at.y;
  fill(image, { x, y, width, height }, color);
  letters.forEach((letter, i) => {
    for (let row = 0; row < GLYPH_HEIGHT; row++)
      for (let column = 0; column < GLYPH_WIDTH; column++)
        if (glyphPixel(letter, column, row)) {
          const left = x + unit + i * advance + column * unit;
          fill(image, { x: left, y: y + (row + 1) * unit, width: unit, height: unit }, [0, 0, 0]);
        }
  });
}

/** Paints a rectangle; what lies outside the image is left out. */
function fill({ data, width, height }: RgbImage, at: Rectangle, color: Color): void {
  const right = Math.min(width, at.x + at.width);
  const bottom = Math.min(height, at.y + at.height);
  for (let y = Math.max(0, at.y); y < bottom; y++)
    for (let x = Math.max(0, at.x); x < right; x++) data.set(color, (y * width + x) * 3);
}

/** Encodes by the ending of `name`: .png without loss, else JPEG. */
export async function encodeImage(image: RgbImage, name: string): Promise<Uint8Array> {
  const pixels = await toSharp(image);
  return await (name.toLowerCase().endsWith(".png") ? pixels.png() : pixels.jpeg({ quality: 88 })).toBuffer();
}

/** A JPEG whose longer side has at most `side` pixels, as a data: address for a page; of the image's part `frame`, or all of it. */
export async function thumbnail(image: RgbImage, side: number, frame?: Rectangle): Promise<string> {
  const { x: left, y: top, ...size } = frame ?? { x: 0, y: 0, width: image.width, height: image.height };
  const part = (await toSharp(image)).extract({ left, top, ...size });
  const jpeg = await part
    .resize(side, side, { fit: "inside", withoutEnlargement: true })
    .jpeg({ quality: 80 })
    .toBuffer();
  return `data:image/jpeg;base64,${jpeg.toString("base64")}`;
}

const toSharp = async ({ width, height, data }: RgbImage) =>
  (await loadSharp())(data, { raw: { width, height, channels: 3 } });
