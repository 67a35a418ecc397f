import { createImage, type RgbImage } from "./image.ts";

/** Fixed-point weights carry 22 fractional bits: 8 bits of pixel and 2 of headroom fill an int32. */
const PRECISION_BITS = 22;
const HALF = 1 << (PRECISION_BITS - 1);

/**
 * Resizes to `width` x `height` by Pillow's antialiased 8-bit bilinear filter, one axis after the other, rounding to
 * 8 bits after each; the aspect ratio is not kept. Rows come first, except where the height shrinks by more than the
 * width, as in Pillow 13 (the order moves a value by at most one level). docs/specification.md §13.
 * @throws RangeError when a side is not a positive integer
 */
export function resizeBilinear(image: RgbImage, width: number, height: number): RgbImage {
  if (width === image.width && height === image.height) return { width, height, data: image.data.slice() };
  const columnsFirst = height < image.height && height * image.width < width * image.height;
  return columnsFirst
    ? resizeRows(resizeColumns(image, height), width)
    : resizeColumns(resizeRows(image, width), height);
}

/**
 * For every output position of one axis the `first` input that it averages [out], their `count` [out], and fixed-point
 * `weights` [out, stride]: triangles of width max(scale, 1), normalised in float64, then rounded.
 */
function axisWeights(inputSize: number, outputSize: number) {
  const scale = inputSize / outputSize;
  const support = Math.max(scale, 1);
  const inverse = 1 / support;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(outputSize);
  const count = new Int32Array(outputSize);
  const weights = new Int32Array(outputSize * stride);
  const exact = new Float64Array(stride);
  for (let i = 0; i < outputSize; i++) {
    const centre = (i + 0.5) * scale;
    const low = Math.max(0, Math.trunc(centre - support + 0.5));
    const high = Math.min(inputSize, Math.trunc(centre + support + 0.5));
    let sum = 0;
    for (let j = low; j < high; j++) {
      const weight = Math.max(0, 1 - Math.abs((j - centre + 0.5) * inverse));
      exact[j - low] = weight;
      sum += weight;
    }
    first[i] = low;
    count[i] = high - low;
    for (let j = 0; j < high - low; j++)
      weights[i * stride + j] = Math.trunc((exact[j]! / sum) * (1 << PRECISION_BITS) + 0.5);
  }
  return { first, count, weights, stride };
}

function resizeRows(image: RgbImage, width: number): RgbImage {
  if (width === image.width) return image;
  const { height } = image;
  const source = image.data;
  const out = createImage(width, height);
  const target = out.data;
  const { first, count, weights, stride } = axisWeights(image.width, width);
  let to = 0;
  for (let y = 0; y < height; y++) {
    const row = y * image.width * 3;
    for (let x = 0; x < width; x++) {
      let from = row + first[x]! * 3;
      let at = x * stride;
      const end = at + count[x]!;
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      for (; at < end; at++) {
        const weight = weights[at]!;
        red += Math.imul(weight, source[from]!);
        green += Math.imul(weight, source[from + 1]!);
        blue += Math.imul(weight, source[from + 2]!);
        from += 3;
      }
      target[to] = toByte(red);
      target[to + 1] = toByte(green);
      target[to + 2] = toByte(blue);
      to += 3;
    }
  }
  return out;
}

function resizeColumns(image: RgbImage, height: number): RgbImage {
  if (height === image.height) return image;
  const source = image.data;
  const rowBytes = image.width * 3;
  const out = createImage(image.width, height);
  const target = out.data;
  const { first, count, weights, stride } = axisWeights(image.height, height);
  const sums = new Int32Array(rowBytes);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let j = 0; j < count[y]!; j++) {
      const weight = weights[y * stride + j]!;
      const from = (first[y]! + j) * rowBytes;
      for (let i = 0; i < rowBytes; i++) sums[i] = sums[i]! + Math.imul(weight, source[from + i]!);
    }
    const to = y * rowBytes;
    for (let i = 0; i < rowBytes; i++) target[to + i] = toByte(sums[i]!);
  }
  return out;
}

/** Weights are not negative, so only rounding over very many inputs can pass 255. */
function toByte(sum: number): number {
  return Math.min(sum >> PRECISION_BITS, 255);
}
