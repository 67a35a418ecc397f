import { createImage, type RgbImage, rgbImage } from "./image.ts";

/**
 * Scales brightness by `factor` (0 black, 1 unchanged), as torchvision does on a PIL image.
 * docs/specification.md §14. @throws RangeError when the factor is negative or not finite
 */
export function adjustBrightness(image: RgbImage, factor: number): RgbImage {
  return blendAll(image, 0, checkedFactor("adjustBrightness", factor));
}

/**
 * Moves every value away from (or towards, below 1) the image's mean luminance, as torchvision does on a PIL image.
 * docs/specification.md §14. @throws RangeError when the factor is negative or not finite
 */
export function adjustContrast(image: RgbImage, factor: number): RgbImage {
  const { data } = image;
  let sum = 0;
  for (let i = 0; i < data.length; i += 3) sum += luminance(data[i]!, data[i + 1]!, data[i + 2]!);
  const mean = Math.trunc(sum / (data.length / 3) + 0.5);
  return blendAll(image, mean, checkedFactor("adjustContrast", factor));
}

/**
 * Moves every pixel away from (or towards, below 1) its own grey, as torchvision does on a PIL image.
 * docs/specification.md §14. @throws RangeError when the factor is negative or not finite
 */
export function adjustSaturation(image: RgbImage, factor: number): RgbImage {
  const amount = Math.fround(checkedFactor("adjustSaturation", factor));
  const { data } = image;
  const out = createImage(image.width, image.height);
  for (let i = 0; i < data.length; i += 3) {
    const grey = luminance(data[i]!, data[i + 1]!, data[i + 2]!);
    for (let channel = i; channel < i + 3; channel++) out.data[channel] = blend(grey, data[channel]!, amount);
  }
  return out;
}

/**
 * Turns the hue by `factor` of a full circle in 8-bit HSV, as torchvision does on a PIL image.
 * docs/specification.md §14. @throws RangeError when the factor is outside -0.5 to 0.5
 */
export function adjustHue(image: RgbImage, factor: number): RgbImage {
  if (!(factor >= -0.5 && factor <= 0.5))
    throw new RangeError(`adjustHue: factor ${factor} is outside -0.5 to 0.5, half a turn either way.`);
  const turn = Math.trunc(factor * 255) & 255;
  const { data } = image;
  const out = createImage(image.width, image.height);
  for (let i = 0; i < data.length; i += 3) {
    const red = data[i]!;
    const green = data[i + 1]!;
    const blue = data[i + 2]!;
    const value = Math.max(red, green, blue);
    const range = value - Math.min(red, green, blue);
    const saturation = range === 0 ? 0 : Math.trunc(Math.fround(range / value) * 255);
    if (saturation === 0) {
      out.data.fill(value, i, i + 3);
      continue;
    }
    const hue = (hueByte([red, green, blue], value, range) + turn) & 255;
    writeHsv(out.data, i, [hue, saturation, value]);
  }
  return out;
}

/** ITU-R 601 luminance in 16-bit fixed point: PIL's conversion to mode L. */
function luminance(red: number, green: number, blue: number): number {
  return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
}

/** PIL's blend of one byte: float32 arithmetic; truncated inside 0–1, clamped and truncated beyond. `factor` is a float32. */
function blend(degenerate: number, value: number, factor: number): number {
  const mixed = Math.fround(degenerate + Math.fround(factor * (value - degenerate)));
  return Math.trunc(Math.min(255, Math.max(0, mixed)));
}

function blendAll({ width, height, data }: RgbImage, degenerate: number, factor: number): RgbImage {
  const amount = Math.fround(factor);
  const table = Uint8Array.from({ length: 256 }, (_, value) => blend(degenerate, value, amount));
  return rgbImage(
    width,
    height,
    data.map((value) => table[value]!),
  );
}

/** Hue as a byte; intermediate results are rounded to float32 where PIL stores them so. The pixel must not be grey. */
function hueByte([red, green, blue]: [number, number, number], value: number, range: number): number {
  const r = Math.fround((value - red) / range);
  const g = Math.fround((value - green) / range);
  const b = Math.fround((value - blue) / range);
  const sextant = Math.fround(red === value ? b - g : green === value ? 2 + r - b : 4 + g - r);
  return Math.trunc(Math.fround((sextant / 6 + 1) % 1) * 255);
}

/** Levels of red, green and blue on each sixth of the circle of hues. */
const SEXTANTS = [
  ["value", "t", "p"],
  ["q", "value", "p"],
  ["p", "value", "t"],
  ["p", "q", "value"],
  ["t", "p", "value"],
  ["value", "p", "q"],
] as const;

function writeHsv(out: Uint8Array, at: number, hsv: readonly [hue: number, saturation: number, value: number]): void {
  const [hue, saturation, value] = hsv;
  const strength = Math.fround(saturation / 255);
  const position = (hue * 6) / 255;
  const sextant = Math.floor(position);
  const fraction = Math.fround(position - sextant);
  const p = Math.floor(value * (1 - strength) + 0.5);
  const q = Math.floor(value * (1 - strength * fraction) + 0.5);
  const t = Math.floor(value * (1 - strength * (1 - fraction)) + 0.5);
  const levels = { value, p, q, t };
  SEXTANTS[sextant % 6]!.forEach((level, channel) => {
    out[at + channel] = levels[level];
  });
}

function checkedFactor(operation: string, factor: number): number {
  if (!(factor >= 0 && Number.isFinite(factor)))
    throw new RangeError(`${operation}: factor ${factor}. It must be a finite number from 0 on; 1 changes nothing.`);
  return factor;
}
