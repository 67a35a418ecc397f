import { adjustBrightness, adjustContrast, adjustHue, adjustSaturation } from "../packages/dfine/src/data/color.ts";
import { type RgbImage, rgbImage } from "../packages/dfine/src/data/image.ts";
import { resizeBilinear } from "../packages/dfine/src/data/resize.ts";
import type { PackTensors } from "./pack.ts";
import type { Measure, Unit } from "./unit.ts";

interface ImageOp {
  readonly op: string;
  /** Name of the expected image in the safetensors file. */
  readonly key: string;
  readonly width?: number;
  readonly height?: number;
  readonly factor?: number;
}

const OPS: Readonly<Record<string, (image: RgbImage, op: ImageOp) => RgbImage>> = {
  pil_resize_bilinear: (image, { width = 0, height = 0 }) => resizeBilinear(image, width, height),
  adjust_brightness: (image, { factor = 1 }) => adjustBrightness(image, factor),
  adjust_contrast: (image, { factor = 1 }) => adjustContrast(image, factor),
  adjust_saturation: (image, { factor = 1 }) => adjustSaturation(image, factor),
  adjust_hue: (image, { factor = 0 }) => adjustHue(image, factor),
};

function read(tensors: PackTensors, name: string): RgbImage {
  const { shape, values } = tensors.bytes(name);
  return rgbImage(shape[1]!, shape[0]!, values);
}

/** Largest difference in levels, and for colours the share of values off by more than one. */
function compare(op: ImageOp, actual: RgbImage, expected: RgbImage): Measure[] {
  const isResize = op.op === "pil_resize_bilinear";
  if (actual.width !== expected.width || actual.height !== expected.height)
    return [{ name: op.key, error: Number.POSITIVE_INFINITY, allowed: 1 }];
  let largest = 0;
  let offByMore = 0;
  expected.data.forEach((value, i) => {
    const off = Math.abs(value - actual.data[i]!);
    largest = Math.max(largest, off);
    if (off > 1) offByMore++;
  });
  const share = offByMore / expected.data.length;
  return [
    { name: `${op.key} levels`, error: largest, allowed: isResize ? 1 : 2 },
    ...(isResize ? [] : [{ name: `${op.key} share over 1`, error: share, allowed: 0.01 }]),
  ];
}

/** Pillow's resize and torchvision's colour operations on 8-bit images. */
export const imageOps: Unit = {
  file: "units/image_ops.json",
  on: "host",
  run(pack) {
    const tensors = pack.tensors("units/image_ops.safetensors");
    const input = read(tensors, "input");
    return pack.json<ImageOp[]>("units/image_ops.json").flatMap((op) => {
      const apply = OPS[op.op];
      if (!apply) throw new Error(`image operation ${op.op} is unknown here: add it to parity/imageOps.ts`);
      return compare(op, apply(input, op), read(tensors, op.key));
    });
  },
};
