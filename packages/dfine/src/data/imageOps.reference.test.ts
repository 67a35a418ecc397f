import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { testWithShared } from "../../../../parity/referencePack.ts";
import { adjustBrightness, adjustContrast, adjustHue, adjustSaturation } from "./color.ts";
import { type RgbImage, rgbImage } from "./image.ts";
import { resizeBilinear } from "./resize.ts";

interface Case {
  readonly op: string;
  readonly key: string;
  readonly width?: number;
  readonly height?: number;
  readonly factor?: number;
}

/** Reads the uint8 images [height, width, 3] of a safetensors file. */
function readImages(path: string): Map<string, RgbImage> {
  const bytes = readFileSync(path);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + headerLength)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const images = new Map<string, RgbImage>();
  for (const [name, entry] of Object.entries(header)) {
    if (entry.dtype !== "U8" || entry.shape.length !== 3) continue;
    const [start, end] = entry.data_offsets;
    const data = Uint8Array.from(bytes.subarray(8 + headerLength + start, 8 + headerLength + end));
    images.set(name, rgbImage(entry.shape[1]!, entry.shape[0]!, data));
  }
  return images;
}

function apply(image: RgbImage, { op, width = 0, height = 0, factor = 0 }: Case): RgbImage {
  if (op === "pil_resize_bilinear") return resizeBilinear(image, width, height);
  if (op === "adjust_brightness") return adjustBrightness(image, factor);
  if (op === "adjust_contrast") return adjustContrast(image, factor);
  if (op === "adjust_saturation") return adjustSaturation(image, factor);
  if (op === "adjust_hue") return adjustHue(image, factor);
  throw new Error(`the pack has an operation this test does not know: ${op}`);
}

testWithShared(
  "resize and colour operations agree with Pillow and torchvision",
  "reference/units/image_ops.json",
  (path) => {
    const cases = JSON.parse(readFileSync(path, "utf8")) as Case[];
    const images = readImages(path.replace(/json$/, "safetensors"));
    expect(cases.length).toBeGreaterThan(0);
    for (const one of cases) {
      const input = images.get("input");
      const expected = images.get(one.key);
      if (!input || !expected) throw new Error(`${one.key}: tensors not found among ${[...images.keys()].join(", ")}`);
      const actual = apply(input, one);
      expect([actual.width, actual.height]).toEqual([expected.width, expected.height]);
      let max = 0;
      let over1 = 0;
      for (let i = 0; i < expected.data.length; i++) {
        const difference = Math.abs(actual.data[i]! - expected.data[i]!);
        max = Math.max(max, difference);
        if (difference > 1) over1++;
      }
      expect(max, one.key).toBeLessThanOrEqual(one.op === "pil_resize_bilinear" ? 1 : 2);
      expect(over1 / expected.data.length, one.key).toBeLessThanOrEqual(0.01);
    }
  },
);
