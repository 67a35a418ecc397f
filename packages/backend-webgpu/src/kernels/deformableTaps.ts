import type { DeformableLevel, DeformableSampleAttrs } from "@dfine/tensor";
import { each, range } from "./text.ts";

export type Method = DeformableSampleAttrs["method"];

/** Pixels that a sampling point reads. */
export const TAPS: Record<Method, 1 | 4> = { bilinear: 4, discrete: 1 };

const FIELDS = ["width", "height", "start", "end", "cells"] as const;

/** Pixels to each side of a level from which points still reach it. */
const BORDER: Record<Method, 0 | 1> = { bilinear: 1, discrete: 0 };

/** Uniforms of a kernel for these levels, and how many cells they have together. */
export function levelUniforms(
  levels: readonly DeformableLevel[],
  method: Method,
): { values: Record<string, number>; cells: number } {
  const values: Record<string, number> = {};
  const border = BORDER[method];
  let [start, end, cells] = [0, 0, 0];
  for (const [i, { width, height, points }] of levels.entries()) {
    end += points;
    const level = { width, height, start, end, cells };
    for (const field of FIELDS) values[`${field}_${i}`] = level[field];
    start += width * height;
    cells += (width + border) * (height + border);
  }
  return { values, cells };
}

/** The first level whose limit lies beyond `which`. */
const choose = (count: number, limit: (level: number) => string): string =>
  each(range(count), (i) => {
    const level = `return Level(${FIELDS.map((field) => `u.${field}_${i}`).join(", ")});`;
    return i === count - 1 ? level : `if (which < ${limit(i)}) { ${level} }`;
  });

/**
 * WGSL: `level_at(n)`, `level_of_point(p)`, `level_of_token(t)`; `locate(location, level)` gives the pixel at or before a
 * point and, when bilinear, how far along it lies towards the next; `tap_share` and `tap_token`, -1 outside the level, for
 * each of its taps; `cell_of`, the number of the cell that a pixel stands for, or -1 where no tap is inside.
 */
export const tapsText = (method: Method, levelCount: number): string => `
struct Level { ${FIELDS.map((field) => `${field}: i32`).join(", ")} }
fn level_at(which: i32) -> Level {
  ${choose(levelCount, (i) => `${i + 1}`)}
}
fn level_of_point(which: i32) -> Level {
  ${choose(levelCount, (i) => `u.end_${i}`)}
}
fn level_of_token(which: i32) -> Level {
  ${choose(levelCount, (i) => `u.start_${i + 1}`)}
}
struct Point { pixel: vec2<i32>, along: vec2f }
${method === "bilinear" ? BILINEAR : DISCRETE}`;

const BILINEAR = `
fn locate(location: vec2f, level: Level) -> Point {
  let at = location * vec2f(f32(level.width), f32(level.height)) - 0.5;
  let whole = floor(at);
  return Point(vec2(to_i32(whole.x), to_i32(whole.y)), at - whole);
}
fn tap_token(point: Point, tap: i32, level: Level) -> i32 {
  let pixel = point.pixel + vec2(tap & 1, tap >> 1u);
  let inside = pixel.x >= 0 && pixel.x < level.width && pixel.y >= 0 && pixel.y < level.height;
  return select(-1, level.start + pixel.y * level.width + pixel.x, inside);
}
fn tap_share(point: Point, tap: i32) -> f32 {
  let x = select(1.0 - point.along.x, point.along.x, (tap & 1) == 1);
  let y = select(1.0 - point.along.y, point.along.y, tap >= 2);
  return x * y;
}
// The pixel at or before a point is -1, if the one after it is the first.
fn cell_of(pixel: vec2<i32>, level: Level) -> i32 {
  let near = pixel.x >= -1 && pixel.x < level.width && pixel.y >= -1 && pixel.y < level.height;
  return select(-1, level.cells + (pixel.y + 1) * (level.width + 1) + pixel.x + 1, near);
}`;

const DISCRETE = `
fn locate(location: vec2f, level: Level) -> Point {
  let size = vec2(level.width, level.height);
  let at = location * vec2f(size) + 0.5;
  return Point(clamp(vec2(to_i32(at.x), to_i32(at.y)), vec2(0), size - 1), vec2f(0.0));
}
fn tap_token(point: Point, tap: i32, level: Level) -> i32 {
  return level.start + point.pixel.y * level.width + point.pixel.x;
}
fn tap_share(point: Point, tap: i32) -> f32 { return 1.0; }
fn cell_of(pixel: vec2<i32>, level: Level) -> i32 { return level.cells + pixel.y * level.width + pixel.x; }`;
