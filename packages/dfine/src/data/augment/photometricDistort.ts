import { adjustBrightness, adjustContrast, adjustHue, adjustSaturation } from "../color.ts";
import { createImage, type RgbImage } from "../image.ts";
import { type Augment, between, type Draws } from "./sample.ts";

type Range = readonly [low: number, high: number];

/** Ranges of the factors, and the probability of each single change. */
export interface PhotometricDistortOptions {
  readonly brightness: Range;
  readonly contrast: Range;
  readonly saturation: Range;
  readonly hue: Range;
  readonly probability: number;
}

/** Changes of colour; what is undefined is left alone. */
export interface Distortion {
  readonly brightness?: number | undefined;
  readonly contrast?: number | undefined;
  readonly saturation?: number | undefined;
  readonly hue?: number | undefined;
  /** Contrast before saturation and hue, or after them. */
  readonly contrastFirst: boolean;
  /** Where each channel comes from. */
  readonly channels?: Int32Array | undefined;
}

/** Draws a distortion in torchvision's order: the factors, the place of the contrast, the order of channels. */
export function drawDistortion(options: PhotometricDistortOptions, random: Draws): Distortion {
  const { probability } = options;
  const factor = (range: Range) => (random.uniform() < probability ? between(random, range) : undefined);
  return {
    brightness: factor(options.brightness),
    contrast: factor(options.contrast),
    saturation: factor(options.saturation),
    hue: factor(options.hue),
    contrastFirst: random.uniform() < 0.5,
    channels: random.uniform() < probability ? random.permutation(3) : undefined,
  };
}

/** Applies a distortion with the 8-bit operations of torchvision on a PIL image. docs/specification.md §14. */
export function distort(image: RgbImage, distortion: Distortion): RgbImage {
  const { brightness, contrast, saturation, hue, contrastFirst, channels } = distortion;
  const changes = [
    [adjustBrightness, brightness],
    [adjustContrast, contrastFirst ? contrast : undefined],
    [adjustSaturation, saturation],
    [adjustHue, hue],
    [adjustContrast, contrastFirst ? undefined : contrast],
  ] as const;
  const changed = changes.reduce((now, [change, factor]) => (factor === undefined ? now : change(now, factor)), image);
  return channels ? permuteChannels(changed, channels) : changed;
}

function permuteChannels(image: RgbImage, channels: Int32Array): RgbImage {
  const out = createImage(image.width, image.height);
  for (let i = 0; i < image.data.length; i++) {
    const channel = i % 3;
    out.data[i] = image.data[i - channel + channels[channel]!]!;
  }
  return out;
}

/** Distorts brightness, contrast, saturation, hue and the order of channels: torchvision's RandomPhotometricDistort. */
export const photometricDistort =
  (options: PhotometricDistortOptions): Augment =>
  (sample, random) => ({ ...sample, image: distort(sample.image, drawDistortion(options, random)) });
