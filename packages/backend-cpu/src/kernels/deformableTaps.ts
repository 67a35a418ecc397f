import type { DeformableLevel, DeformableSampleAttrs } from "@dfine/tensor";
import { shape4, type View } from "@dfine/tensor/kernel";
import type { Assembler, Local } from "../wasm/assembler.ts";
import { clampIndex } from "./args.ts";

export type Method = DeformableSampleAttrs["method"];

/** Where a sampling point reads, and with which share of its weight. */
export interface Taps {
  readonly method: Method;
  /** Byte offset of each tap from the image's and head's first token; undefined contents where it lies outside. */
  readonly offsets: readonly Local[];
  /** Whether each tap lies inside the level. */
  readonly insides: readonly Local[];
  /** f32, the bilinear share of each tap. */
  readonly shares: readonly Local[];
  /** f32: position between the taps and what is left to 1, along x and along y. */
  readonly along: readonly [Local, Local];
  readonly left: readonly [Local, Local];
  /** f32 */
  readonly size: readonly [Local, Local];
}

export function makeTaps(f: Assembler, method: Method): Taps {
  const count = method === "bilinear" ? 4 : 1;
  const pair = (): readonly [Local, Local] => [f.local("f32"), f.local("f32")];
  return {
    method,
    offsets: f.locals("i32", count),
    insides: f.locals("i32", count),
    shares: f.locals("f32", count),
    along: pair(),
    left: pair(),
    size: pair(),
  };
}

export interface Point {
  /** Address of the point's row of `levelTable`. */
  readonly level: Local;
  /** Address of the point's location (x, y). */
  readonly location: Local;
  /** Bytes from token to token. */
  readonly tokenBytes: Local;
}

const ROW_WORDS = 3;
/** Bytes of a point's row in `levelTable`. */
export const LEVEL_BYTES = ROW_WORDS * 4;

/** For each point: width and height of its level, and bytes from the first level to it. */
export function levelTable(levels: readonly DeformableLevel[], tokenBytes: number): number[] {
  let start = 0;
  return levels.flatMap(({ width, height, points }) => {
    const row = [width, height, start * tokenBytes];
    start += width * height;
    return Array.from({ length: points }, () => row).flat();
  });
}

/** Sizes of value [B, L, heads, d] and locations [B, Q, heads, P, 2], under the names of the words that pass them. */
export function sampleSizes(value: View, locations: View) {
  const [images, length, heads, depth] = shape4(value);
  const [, queries, , points] = locations.shape as [number, number, number, number];
  const tokenBytes = heads * depth * 4;
  return { images, length, heads, depth, queries, points, depthBytes: depth * 4, tokenBytes };
}

/** Finds a point's taps. */
export function locate(f: Assembler, taps: Taps, point: Point): void {
  const [x, y] = [f.local("i32"), f.local("i32")];
  const [width, height] = [f.local("i32"), f.local("i32")];
  for (const i of [0, 1] as const) {
    const [pixel, limit] = i === 0 ? [x, width] : [y, height];
    f.get(point.level)
      .memory("i32.load", i * 4)
      .tee(limit)
      .op("f32.convert_i32_s")
      .set(taps.size[i]!);
    f.get(point.location)
      .memory("f32.load", i * 4)
      .get(taps.size[i]!)
      .op("f32.mul");
    if (taps.method === "discrete") nearest(f, pixel, limit);
    else between(f, taps, { side: i, pixel });
  }
  f.get(point.level).memory("i32.load", 8);
  f.get(y, width)
    .op("i32.mul")
    .get(x)
    .op("i32.add")
    .get(point.tokenBytes)
    .op("i32.mul", "i32.add")
    .set(taps.offsets[0]!);
  if (taps.method === "discrete") {
    f.i32(1).set(taps.insides[0]!);
    f.f32(1).set(taps.shares[0]!);
  } else {
    f.get(taps.offsets[0]!, point.tokenBytes).op("i32.add").set(taps.offsets[1]!);
    f.get(taps.offsets[0]!, width, point.tokenBytes).op("i32.mul", "i32.add").set(taps.offsets[2]!);
    f.get(taps.offsets[2]!, point.tokenBytes).op("i32.add").set(taps.offsets[3]!);
    for (let tap = 0; tap < 4; tap++) {
      const [dx, dy] = [tap & 1, tap >> 1];
      f.get(x).i32(dx).op("i32.add").get(width).op("i32.lt_u");
      f.get(y).i32(dy).op("i32.add").get(height).op("i32.lt_u").op("i32.and").set(taps.insides[tap]!);
      f.get(dx ? taps.along[0] : taps.left[0], dy ? taps.along[1] : taps.left[1])
        .op("f32.mul")
        .set(taps.shares[tap]!);
    }
  }
  f.release(x, y, width, height);
}

/** From the stack's location · size: the pixel that holds it, at most the last one. */
function nearest(f: Assembler, pixel: Local, limit: Local): void {
  f.f32(0.5).op("f32.add", "i32.trunc_sat_f32_s").set(pixel);
  clampIndex(f, pixel, limit);
}

/** From the stack's location · size: the pixel centre before it, and how far it lies towards the next. */
function between(f: Assembler, { along, left }: Taps, { side, pixel }: { side: 0 | 1; pixel: Local }): void {
  const whole = f.local("f32");
  f.f32(0.5).op("f32.sub").tee(along[side]).op("f32.floor").tee(whole).op("i32.trunc_sat_f32_s").set(pixel);
  f.get(along[side], whole).op("f32.sub").set(along[side]);
  f.f32(1).get(along[side]).op("f32.sub").set(left[side]);
  f.release(whole);
}
