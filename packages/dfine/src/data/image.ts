/** An 8-bit RGB image. `data` is [height, width, 3], row by row. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A black image. @throws RangeError when a side is not a positive integer */
export function createImage(width: number, height: number): RgbImage {
  return rgbImage(width, height, new Uint8Array(checkedSide(width) * checkedSide(height) * 3));
}

/** Wraps RGB bytes [height, width, 3]. @throws RangeError when they are no bytes, or their number does not fit the size */
export function rgbImage(width: number, height: number, data: Uint8Array): RgbImage {
  const expected = checkedSide(width) * checkedSide(height) * 3;
  const is8Bit = data instanceof Uint8Array || (data as object) instanceof Uint8ClampedArray;
  if (!is8Bit)
    throw new RangeError(
      `rgbImage: pixels are ${kind(data)}, not a Uint8Array. Pass bytes from 0 to 255, three for each pixel.`,
    );
  if (data.length !== expected) {
    const remedy = data.length * 3 === expected * 4 ? "Leave the alpha channel out." : "Pass tightly packed RGB.";
    throw new RangeError(
      `rgbImage: ${width}x${height} needs ${expected} bytes (3 per pixel), got ${data.length}. ${remedy}`,
    );
  }
  return { width, height, data };
}

function kind(value: unknown): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

/** float32(v / 255), as dividing a float tensor by 255 gives it. */
const UNIT = Float32Array.from({ length: 256 }, (_, value) => value / 255);

/**
 * Writes the image as float32 RGB / 255 into `target`, from element `offset` on, as the top left of an image [3, height, width]
 * of the given size, by default its own.
 * @throws RangeError when it does not fit behind the offset
 */
export function toTensorData(
  image: RgbImage,
  target: Float32Array,
  { offset = 0, size = image }: { offset?: number; size?: Pick<RgbImage, "width" | "height"> } = {},
): void {
  const { width, height, data } = image;
  const plane = size.width * size.height;
  if (offset < 0 || offset + 3 * plane > target.length || width > size.width || height > size.height)
    throw new RangeError(
      `toTensorData: ${width}x${height} in ${size.width}x${size.height} needs ${3 * plane} elements from ${offset} on, but the target has ${target.length}. Give a slot of 3 * height * width.`,
    );
  let from = 0;
  for (let y = 0; y < height; y++) {
    const row = offset + y * size.width;
    for (let at = row; at < row + width; at++) {
      target[at] = UNIT[data[from]!]!;
      target[at + plane] = UNIT[data[from + 1]!]!;
      target[at + 2 * plane] = UNIT[data[from + 2]!]!;
      from += 3;
    }
  }
}

function checkedSide(side: number): number {
  if (!Number.isSafeInteger(side) || side < 1)
    throw new RangeError(`image: a side of ${side} pixels. Sides are whole numbers from 1 on.`);
  return side;
}
