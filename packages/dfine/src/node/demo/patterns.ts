import { createImage, type RgbImage } from "../../data/image.ts";
import { type Draws, drawColour } from "./draws.ts";

/** A value at each point: a pixel's share of the second of two colours, 0–1. */
type Pattern = (x: number, y: number) => number;

/** The kinds of background; each draws what it needs and gives a pattern. */
const patterns: readonly ((draws: Draws, side: number) => Pattern)[] = [gradient, stripes, blobs, clouds];

/**
 * A square background around a grey level: two nearby colours in a gradient, stripes, blobs or clouds, with a little
 * noise on every pixel.
 */
export function drawBackground(draws: Draws, side: number, level: number): RgbImage {
  const first = drawColour(draws, level, 22);
  const second = drawColour(draws, level, 22);
  const pattern = patterns[draws.whole(0, patterns.length - 1)]!(draws, side);
  const image = createImage(side, side);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      const share = pattern(x, y);
      const noise = draws.whole(-6, 6);
      for (let c = 0; c < 3; c++) {
        const value = Math.round(first[c]! + (second[c]! - first[c]!) * share) + noise;
        image.data[(y * side + x) * 3 + c] = Math.min(255, Math.max(0, value));
      }
    }
  return image;
}

/** A linear change in a direction of whole-number slope. */
function gradient(draws: Draws, side: number): Pattern {
  const dx = draws.whole(-4, 4);
  const dy = dx === 0 ? 1 : draws.whole(-4, 4);
  const length = (Math.abs(dx) + Math.abs(dy)) * side;
  const start = Math.min(dx, 0) + Math.min(dy, 0);
  return (x, y) => (dx * x + dy * y - start * side) / length;
}

/** Soft bands of 8 to 32 pixels. */
function stripes(draws: Draws): Pattern {
  const width = draws.whole(8, 32);
  const dx = draws.whole(-2, 2);
  const dy = dx === 0 ? 1 : draws.whole(-2, 2);
  return (x, y) => {
    const phase = (dx * x + dy * y) / (2 * width);
    const saw = phase - Math.floor(phase);
    return 1 - Math.abs(2 * saw - 1);
  };
}

/** Discs that fade out towards their rims. */
function blobs(draws: Draws, side: number): Pattern {
  const discs = Array.from({ length: draws.whole(6, 14) }, () => ({
    x: draws.between(0, side),
    y: draws.between(0, side),
    reach: draws.between(side / 16, side / 5),
  }));
  return (x, y) => {
    let share = 0;
    for (const disc of discs) {
      const dx = (x - disc.x) / disc.reach;
      const dy = (y - disc.y) / disc.reach;
      share = Math.max(share, 1 - dx * dx - dy * dy);
    }
    return share;
  };
}

/** Random values on a coarse grid, bilinear in between. */
function clouds(draws: Draws, side: number): Pattern {
  const cell = draws.whole(12, 40);
  const columns = Math.floor(side / cell) + 2;
  const values = Array.from({ length: columns * columns }, () => draws.between(0, 1));
  const at: Pattern = (column, row) => values[row * columns + column]!;
  return (x, y) => bilinear(at, x / cell, y / cell);
}

/** The value at a point between those that `at` gives for whole positions. */
export function bilinear(at: Pattern, x: number, y: number): number {
  const left = Math.floor(x);
  const top = Math.floor(y);
  const right = x - left;
  const down = y - top;
  const above = at(left, top) * (1 - right) + at(left + 1, top) * right;
  const below = at(left, top + 1) * (1 - right) + at(left + 1, top + 1) * right;
  return above * (1 - down) + below * down;
}
