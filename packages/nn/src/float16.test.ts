import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "./float16.ts";

const patterns = Uint16Array.from({ length: 0x10000 }, (_, i) => i);
const anyFloat32 = fc.float({ noNaN: true }).map(Math.fround);

/** The pattern whose value is nearest to `x`, ties to the even pattern, by trying the whole table. */
function nearest(x: number, finite: { pattern: number; value: number }[]): number {
  let best = finite[0]!;
  for (const candidate of finite) {
    const gap = Math.abs(candidate.value - x) - Math.abs(best.value - x);
    if (gap < 0 || (gap === 0 && candidate.pattern % 2 === 0)) best = candidate;
  }
  return best.value;
}

function finiteTable(decoded: Float32Array, infinity: number) {
  const table = [...patterns].map((pattern) => ({ pattern, value: decoded[pattern]! }));
  // Beyond the largest finite value the next step of the grid stands for infinity.
  return table
    .filter(({ pattern, value }) => pattern < 0x8000 && !Number.isNaN(value))
    .map(({ pattern, value }) => ({ pattern, value: Number.isFinite(value) ? value : infinity }));
}

describe("float16", () => {
  test("decodes known patterns", () => {
    const bits = new Uint16Array([0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0xfc00, 0x3555, 0x8000]);
    const expected = [1, -2, 2 ** -24, 65504, Infinity, -Infinity, 0.333251953125, -0];
    expect([...float16ToFloat32(bits)]).toEqual(expected);
  });

  test("decoding then encoding gives every pattern back", () => {
    const back = float32ToFloat16(float16ToFloat32(patterns));
    for (const pattern of patterns)
      if ((pattern & 0x7fff) > 0x7c00) expect(back[pattern]! & 0x7fff).toBeGreaterThan(0x7c00);
      else expect(back[pattern]).toBe(pattern);
  });

  test("encoding picks the nearest value, ties to even", () => {
    const table = finiteTable(float16ToFloat32(patterns), 65536);
    const halfway = fc.integer({ min: 0, max: 0x7bfe }).map((i) => (table[i]!.value + table[i + 1]!.value) / 2);
    const inRange = fc.double({ min: 0, max: 65519.99, noNaN: true });
    fc.assert(
      fc.property(fc.oneof(halfway, inRange, anyFloat32), (x) => {
        const value = Math.fround(Math.abs(x));
        const [got] = float16ToFloat32(float32ToFloat16(new Float32Array([value])));
        const expected = Number.isFinite(value) ? nearest(value, table) : Infinity;
        expect(got).toBe(expected >= 65536 ? Infinity : expected);
      }),
      { numRuns: 300 },
    );
  });

  test("agrees with the platform's Float16Array", (context) => {
    const platform = (globalThis as { Float16Array?: new (values: Float32Array) => { buffer: ArrayBuffer } })
      .Float16Array;
    if (!platform) return context.skip("not run: this platform has no Float16Array");
    const words = Uint32Array.from({ length: 1 << 20 }, (_, i) => (i * 4099) >>> 0);
    const values = new Float32Array(words.buffer).filter((value) => !Number.isNaN(value));
    expect(float32ToFloat16(values)).toEqual(new Uint16Array(new platform(values).buffer));
  });
});

describe("bfloat16", () => {
  test("decoding then encoding gives every pattern back", () => {
    const back = float32ToBfloat16(bfloat16ToFloat32(patterns));
    for (const pattern of patterns)
      if ((pattern & 0x7fff) > 0x7f80) expect(back[pattern]! & 0x7fff).toBeGreaterThan(0x7f80);
      else expect(back[pattern]).toBe(pattern);
  });

  test("encoding picks the nearest value, ties to even", () => {
    const table = finiteTable(bfloat16ToFloat32(patterns), 2 ** 128);
    fc.assert(
      fc.property(anyFloat32, (x) => {
        fc.pre(Number.isFinite(x));
        const value = Math.abs(x);
        const [got] = bfloat16ToFloat32(float32ToBfloat16(new Float32Array([value])));
        const expected = nearest(value, table);
        expect(got).toBe(expected === 2 ** 128 ? Infinity : expected);
      }),
      { numRuns: 300 },
    );
    expect([...float32ToBfloat16(new Float32Array([1 + 2 ** -8, 1 + 3 * 2 ** -8]))]).toEqual([0x3f80, 0x3f82]);
  });
});
