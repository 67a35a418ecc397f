import type { Dtype } from "../dtype.ts";

const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);

/** A float32 as the 32-bit word that passes it. */
export function floatBits(value: number): number {
  float[0] = value;
  return bits[0]!;
}

/** The float32 of a 32-bit word. */
export function floatOf(word: number): number {
  bits[0] = word;
  return float[0]!;
}

/** A value of a dtype as the 32-bit word that passes it to a kernel. */
export const wordOf = (value: number, dtype: Dtype): number => (dtype === "f32" ? floatBits(value) : value | 0);
