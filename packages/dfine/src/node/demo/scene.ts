import type { Random } from "@dfine/tensor";
import type { RgbImage } from "../../data/image.ts";
import { type Colour, createDraws, type Draws, drawColour } from "./draws.ts";
import { type Handwriting, SAMPLE_SIDE } from "./handwriting.ts";
import { bilinear, drawBackground } from "./patterns.ts";

/** A digit in a scene and the pixels it covers: x, y, width, height. */
export interface PlacedDigit {
  readonly digit: number;
  readonly bbox: readonly [number, number, number, number];
}

export interface Scene {
  readonly image: RgbImage;
  readonly digits: readonly PlacedDigit[];
}

/** What scenes are like. */
interface SceneStyle {
  /** The fewest and the most digits that are wanted; those that find no room are left out. */
  readonly digits: readonly [least: number, most: number];
  /** Heights of digits as shares of the image's side. */
  readonly height: readonly [low: number, high: number];
  /** Tangent of half the largest rotation. */
  readonly halfTurn: number;
  /** Share of the smaller box that two digits may have in common. */
  readonly overlap: number;
  /** Names of the digits, or one for all of them. */
  readonly classes: readonly string[];
}

/** At a side of 256: up to 6 digits of 40 to 120 pixels, turned by up to 12 degrees; or 3 to 10 of 28 to 110, by up to 23, which cover each other, and are all the same to who looks for them. */
export const SCENES = {
  digits: { digits: [1, 6], height: [40 / 256, 120 / 256], halfTurn: 0.105, overlap: 0.05, classes: [..."0123456789"] },
  crowd: { digits: [3, 10], height: [28 / 256, 110 / 256], halfTurn: 0.2, overlap: 0.35, classes: ["digit"] },
} as const satisfies Record<string, SceneStyle>;

/** Draws a scene of handwritten digits: a function of random numbers, side, samples and style alone, down to the last bit. */
export function drawScene(
  random: Random,
  side: number,
  { samples, style = SCENES.digits }: { samples: Handwriting; style?: SceneStyle },
): Scene {
  const draws = createDraws(random);
  const { image, dark } = emptyScene(draws, side);
  const digits: PlacedDigit[] = [];
  const wanted = draws.whole(...style.digits);
  for (let attempt = 0; attempt < wanted * 8 && digits.length < wanted; attempt++) {
    const digit = draws.whole(0, 9);
    const sample = samples[digit]![draws.whole(0, samples[digit]!.length - 1)]!;
    const height = draws.between(...style.height) * side;
    const ink = renderInk(sample, { height, halfTurn: draws.between(-style.halfTurn, style.halfTurn) });
    const colour = drawColour(draws, dark ? 215 : 40, 40);
    if (!ink || ink.width > side || ink.height > side) continue;
    const x = draws.whole(0, side - ink.width);
    const y = draws.whole(0, side - ink.height);
    const bbox = [x, y, ink.width, ink.height] as const;
    if (digits.some((other) => sharedPart(bbox, other.bbox) > style.overlap)) continue;
    paintInk(image, ink, { x, y, colour });
    digits.push({ digit, bbox });
  }
  return { image, digits };
}

/** The background that a scene starts from: dark for bright digits, or the other way round. */
export function emptyScene(draws: Draws, side: number): { image: RgbImage; dark: boolean } {
  const dark = draws.whole(0, 1) === 1;
  return { image: drawBackground(draws, side, dark ? draws.whole(25, 85) : draws.whole(170, 230)), dark };
}

/** How opaque a digit is, and the rectangle of it that is painted. */
interface Ink extends Rectangle {
  /** [side, side], 0–1. */
  readonly alpha: Float64Array;
  readonly side: number;
}

type Rectangle = Readonly<Record<"x" | "y" | "width" | "height", number>>;

/** Scales a sample so that its ink is `height` pixels high, turns it, and cuts it to what is at least half opaque. */
function renderInk(sample: Uint8Array, { height, halfTurn }: { height: number; halfTurn: number }): Ink | undefined {
  const bounds = tightBounds(sample, SAMPLE_SIDE, 128);
  if (!bounds) return undefined;
  const scale = height / bounds.height;
  // The rational form of sine and cosine, exact to the same bit everywhere.
  const cosine = (1 - halfTurn * halfTurn) / (1 + halfTurn * halfTurn);
  const sine = (2 * halfTurn) / (1 + halfTurn * halfTurn);
  const middleX = bounds.x + bounds.width / 2;
  const middleY = bounds.y + bounds.height / 2;
  const diagonal = Math.sqrt(bounds.width * bounds.width + bounds.height * bounds.height);
  const side = Math.ceil((diagonal + 2) * scale);
  const alpha = new Float64Array(side * side);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      const dx = (x + 0.5 - side / 2) / scale;
      const dy = (y + 0.5 - side / 2) / scale;
      const level = sampleAt(sample, middleX + cosine * dx + sine * dy, middleY - sine * dx + cosine * dy);
      alpha[y * side + x] = Math.min(1, Math.max(0, (level - 70) / 90));
    }
  const cut = tightBounds(alpha, side, 0.5);
  return cut && { ...cut, alpha, side };
}

/** The sample's level at a point, bilinear between pixel centres, paper outside. */
function sampleAt(sample: Uint8Array, x: number, y: number): number {
  const at = (column: number, row: number) =>
    column >= 0 && row >= 0 && column < SAMPLE_SIDE && row < SAMPLE_SIDE ? sample[row * SAMPLE_SIDE + column]! : 0;
  return bilinear(at, x - 0.5, y - 0.5);
}

/** The smallest rectangle around everything of at least `level` in a square of values. */
function tightBounds(values: ArrayLike<number>, side: number, level: number): Rectangle | undefined {
  let [left, top, right, bottom] = [side, side, -1, -1];
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      if (values[y * side + x]! < level) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  return right < 0 ? undefined : { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}

function sharedPart(a: PlacedDigit["bbox"], b: PlacedDigit["bbox"]): number {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  return (width * height) / Math.min(a[2] * a[3], b[2] * b[3]);
}

function paintInk(image: RgbImage, ink: Ink, { x, y, colour }: { x: number; y: number; colour: Colour }): void {
  for (let row = 0; row < ink.height; row++)
    for (let column = 0; column < ink.width; column++) {
      const alpha = ink.alpha[(ink.y + row) * ink.side + ink.x + column]!;
      const at = ((y + row) * image.width + x + column) * 3;
      for (let c = 0; c < 3; c++) {
        const below = image.data[at + c]!;
        image.data[at + c] = Math.round(below + (colour[c]! - below) * alpha);
      }
    }
}
