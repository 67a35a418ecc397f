import type { DeformableLevel, DeformableSampleAttrs } from "@dfine/tensor";
import { shape4, type View, wordOf } from "@dfine/tensor/kernel";
import type { Assembler, Local } from "../wasm/assembler.ts";

export type Method = DeformableSampleAttrs["method"];

/** Where a sampling point reads, and with which share of its weight: vectors of a lane for each tap, or of (x, y, x, y). */
export interface Taps {
  readonly method: Method;
  /** How many taps there are; other lanes mean nothing. */
  readonly count: number;
  /** Byte offset of each tap from the image's and head's first token; undefined contents where it lies outside. */
  readonly offsets: Local;
  /** Ones where a tap lies inside the level. */
  readonly insides: Local;
  /** The bilinear share of each tap. */
  readonly shares: Local;
  /** Position between the taps, and what is left to 1. */
  readonly along: Local;
  readonly left: Local;
  /** The level's width and height. */
  readonly size: Local;
  readonly steps: readonly [Local, Local];
}

/** Printed before the first `locate`. */
export function makeTaps(f: Assembler, method: Method): Taps {
  const [offsets, insides, shares, along, left, size, stepX, stepY] = f.locals("v128", 8);
  f.i32x4(0, 1, 0, 1).set(stepX).i32x4(0, 0, 1, 1).set(stepY);
  const count = method === "bilinear" ? 4 : 1;
  return { method, count, offsets, insides, shares, along, left, size, steps: [stepX, stepY] };
}

export interface Point {
  /** Address of the point's row of `levelTable`. */
  readonly level: Local;
  /** Address of the point's location (x, y). */
  readonly location: Local;
  /** Bytes from token to token. */
  readonly tokenBytes: Local;
}

/** Width and height as floats, twice; as whole numbers; bytes from the first level to this one. */
const ROW_WORDS = 7;
/** Bytes of a point's row in `levelTable`. */
export const LEVEL_BYTES = ROW_WORDS * 4;

/** A row for each point, of its level. */
export function levelTable(levels: readonly DeformableLevel[], tokenBytes: number): number[] {
  let start = 0;
  return levels.flatMap(({ width, height, points }) => {
    const size = [wordOf(width, "f32"), wordOf(height, "f32")];
    const row = [...size, ...size, width, height, start * tokenBytes];
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
export function locate(f: Assembler, taps: Taps, { level, location, tokenBytes }: Point): void {
  const { offsets, insides, shares, along, left, size, steps } = taps;
  const [pixel, x, y, width, height] = f.locals("v128", 5);
  f.get(level).memory("v128.load").set(size);
  f.get(level).memory("v128.load32_splat", 16).set(width).get(level).memory("v128.load32_splat", 20).set(height);
  f.get(location).memory("v128.load64_splat").get(size).op("f32x4.mul");
  if (taps.method === "discrete") {
    f.f32x4(0.5).op("f32x4.add", "i32x4.trunc_sat_f32x4_s").set(pixel);
    const nearest = (lane: 0 | 1, limit: Local, to: Local): void => {
      spread(f, pixel, lane).get(limit).i32x4(1).op("i32x4.sub", "i32x4.min_s").i32x4(0).op("i32x4.max_s").set(to);
    };
    nearest(0, width, x);
    nearest(1, height, y);
    f.i32x4(-1).set(insides).f32x4(1).set(shares);
  } else {
    f.f32x4(0.5).op("f32x4.sub").tee(along).op("f32x4.floor").tee(pixel);
    f.get(along, pixel).op("f32x4.sub").tee(along).set(left);
    f.op("i32x4.trunc_sat_f32x4_s").set(pixel).f32x4(1).get(along).op("f32x4.sub").set(left);
    spread(f, pixel, 0).get(steps[0]).op("i32x4.add").set(x);
    spread(f, pixel, 1).get(steps[1]).op("i32x4.add").set(y);
    f.get(x, y).op("v128.or").i32x4(-1).op("i32x4.gt_s").get(x, width).op("i32x4.lt_s", "v128.and");
    f.get(y, height).op("i32x4.lt_s", "v128.and").set(insides);
    f.get(left, along).shuffle(0, 4, 0, 4).get(left, along).shuffle(1, 1, 5, 5).op("f32x4.mul").set(shares);
  }
  f.get(y, width).op("i32x4.mul").get(x).op("i32x4.add").get(tokenBytes).op("i32x4.splat", "i32x4.mul");
  f.get(level).memory("v128.load32_splat", 24).op("i32x4.add").set(offsets);
  f.release(pixel, x, y, width, height);
}

/** Pushes a vector of which all lanes are one. */
const spread = (f: Assembler, vector: Local, lane: 0 | 1): Assembler =>
  f.get(vector, vector).shuffle(lane, lane, lane, lane);

/**
 * Puts down, in the thread's own memory at `own` + `offset`, each tap's address, `start` + its offset or `outside`. Single lanes are
 * read from there.
 */
export function putAddresses(
  f: Assembler,
  { offsets, insides }: Taps,
  { start, outside, own, offset }: { start: Local; outside: Local; own: Local; offset: number },
): void {
  f.get(own, start).op("i32x4.splat").get(offsets).op("i32x4.add").get(outside).op("i32x4.splat");
  f.get(insides).op("v128.bitselect").memory("v128.store", offset);
}
