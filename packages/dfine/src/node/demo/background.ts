import { createImage, type RgbImage } from "../../data/image.ts";
import { type Colour, type Draws, drawColour } from "./draws.ts";

/** A pixel's share of the second of two colours, 0–1. */
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
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const share = pattern(x, y);
      const noise = draws.whole(-6, 6);
      paint(image, (y * side + x) * 3, { first, second, share, noise });
    }
  }
  return image;
}

interface Mixture {
  readonly first: Colour;
  readonly second: Colour;
  readonly share: number;
  readonly noise: number;
}

function paint(image: RgbImage, at: number, { first, second, share, noise }: Mixture): void {
  for (let c = 0; c < 3; c++) {
    const value = Math.round(first[c]! + (second[c]! - first[c]!) * share) + noise;
    image.data[at + c] = Math.min(255, Math.max(0, value));
  }
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
  return (x, y) => {
    const column = Math.floor(x / cell);
    const row = Math.floor(y / cell);
    const right = x / cell - column;
    const down = y / cell - row;
    const at = row * columns + column;
    const above = values[at]! * (1 - right) + values[at + 1]! * right;
    const below = values[at + columns]! * (1 - right) + values[at + columns + 1]! * right;
    return above * (1 - down) + below * down;
  };
}
