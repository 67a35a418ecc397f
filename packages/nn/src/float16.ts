/** Exponent and mantissa of float16 infinity. */
const HALF_INFINITY = 0x7c00;
/** Bits of 65520 in float32: from here on float16 rounds to infinity. */
const HALF_OVERFLOW = 0x477ff000;
/** Bits of 2^-14 in float32, the smallest normal float16. */
const HALF_SMALLEST_NORMAL = 0x38800000;
/** 15 against 127: difference of the exponent biases, at float32's mantissa. */
const HALF_REBIAS = 0x38000000;

const word = new Uint32Array(1);
const single = new Float32Array(word.buffer);

function decodeHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1024 + mantissa) * 2 ** (exponent - 25);
}

/** Value of every float16 pattern; 256 KiB, built at the first decode. */
let halfTable: Float32Array | undefined;

/** Widens float16 bit patterns to float32, exactly. NaN payloads are not kept. */
export function float16ToFloat32(bits: Uint16Array): Float32Array {
  halfTable ??= Float32Array.from({ length: 0x10000 }, (_, pattern) => decodeHalf(pattern));
  const out = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = halfTable[bits[i]!]!;
  return out;
}

/** Rounds to the nearest integer, halves to the even one, as Python does. */
export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

function encodeHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= HALF_OVERFLOW) return sign | HALF_INFINITY;
  if (magnitude >= HALF_SMALLEST_NORMAL) {
    const odd = (magnitude >>> 13) & 1;
    return sign | ((magnitude - HALF_REBIAS + 0xfff + odd) >>> 13);
  }
  word[0] = magnitude;
  // Subnormals are multiples of 2^-24; the product is exact in double precision.
  return sign | roundHalfEven(single[0]! * 2 ** 24);
}

/** Rounds float32 to float16 bit patterns, to nearest with ties to even. */
export function float32ToFloat16(values: Float32Array): Uint16Array {
  const source = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < source.length; i++) out[i] = encodeHalf(source[i]!);
  return out;
}

/** Widens bfloat16 bit patterns to float32, exactly. */
export function bfloat16ToFloat32(bits: Uint16Array): Float32Array {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = bits[i]! << 16;
  return new Float32Array(out.buffer);
}

/** Rounds float32 to bfloat16 bit patterns, to nearest with ties to even. */
export function float32ToBfloat16(values: Float32Array): Uint16Array {
  const source = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < source.length; i++) {
    const bits = source[i]!;
    // A rounded-up NaN would become infinity, so it is made quiet instead.
    const invalid = (bits & 0x7fffffff) > 0x7f800000;
    out[i] = invalid ? (bits >>> 16) | 0x40 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  }
  return out;
}
