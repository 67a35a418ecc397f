const LN2 = Math.fround(Math.LN2);

/**
 * Natural logarithm of a positive float32 number as PyTorch's float32 kernels round it: x = m · 2ᵉ with m in √½…√2, then
 * e · ln 2 + ln m with ln 2 and ln m in float32. Constants that training depends on chaotically need its last bit.
 */
export function logFloat32(x: number): number {
  if (x === Number.POSITIVE_INFINITY) return x;
  let exponent = Math.floor(Math.log2(x));
  let mantissa = x / 2 ** exponent;
  // Math.log2 may round across a power of two; the range is what counts.
  if (mantissa >= Math.SQRT2) {
    mantissa /= 2;
    exponent++;
  }
  return Math.fround(exponent * LN2 + Math.fround(Math.log(mantissa)));
}
