import { Random } from "@dfine/tensor";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createImage } from "../image.ts";
import { drawShare, mixed, mixup } from "./mixup.ts";
import { drawMosaic, type MosaicDraw, mosaic, mosaicOf } from "./mosaic.ts";
import type { Sample } from "./sample.ts";

/** An image of one grey level whose label is that level, with a box all around it. */
function flat(level: number, width: number, height: number): Sample {
  const image = createImage(width, height);
  image.data.fill(level);
  return { image, labels: Int32Array.of(level), boxes: Float32Array.of(0, 0, width, height) };
}

/** Which pixels have a level: their bounding box and number. */
function extent({ image }: Sample, level: number) {
  const found = { xs: [] as number[], ys: [] as number[], count: 0 };
  for (let y = 0; y < image.height; y++)
    for (let x = 0; x < image.width; x++)
      if (image.data[3 * (y * image.width + x)] === level) {
        found.xs.push(x);
        found.ys.push(y);
        found.count++;
      }
  const { xs, ys, count } = found;
  return count === 0
    ? undefined
    : { box: [Math.min(...xs), Math.min(...ys), Math.max(...xs) + 1, Math.max(...ys) + 1], count };
}

const length = fc.integer({ min: 8, max: 60 });
const sides = fc.tuple(length, length);
const SIDE = 32;

test("every pixel is of the image that lies there on the canvas, and boxes cover what is seen of their image", () =>
  fc.assert(
    fc.property(fc.tuple(sides, sides, sides, sides), fc.integer(), (sizes, seed) => {
      const samples = sizes.map(([width, height], i) => flat(50 * (i + 1), width, height));
      const draw = drawMosaic({ side: SIDE, scale: 0.5, translate: 0.1, probability: 1 }, new Random(seed));
      const out = mosaicOf(samples, SIDE, draw);
      const { centre, window } = draw;
      expect([out.image.width, out.image.height]).toEqual([window.side, window.side]);
      for (let y = 0; y < window.side; y++)
        for (let x = 0; x < window.side; x++) {
          const [right, down] = [x + window.left - centre[0], y + window.top - centre[1]];
          const i = (right >= 0 ? 1 : 0) + (down >= 0 ? 2 : 0);
          const [width, height] = sizes[i]!;
          const scale = SIDE / Math.max(width, height);
          const [far, deep] = [right >= 0 ? right : -right - 1, down >= 0 ? down : -down - 1];
          const isOnCanvas = [x + window.left, y + window.top].every((place) => place >= 0 && place < 2 * SIDE);
          const inside = isOnCanvas && far < Math.round(width * scale) && deep < Math.round(height * scale);
          if (out.image.data[3 * (y * window.side + x)] !== (inside ? 50 * (i + 1) : 114))
            expect.unreachable(`${x}, ${y}`);
        }
      for (const [at, level] of out.labels.entries())
        expect([...out.boxes.subarray(4 * at, 4 * at + 4)]).toEqual(extent(out, level)!.box);
      for (const [i, [width, height]] of sizes.entries()) {
        if (out.labels.includes(50 * (i + 1))) continue;
        // A box that goes was hardly seen.
        const seen = extent(out, 50 * (i + 1));
        const [w, h] = seen ? [seen.box[2]! - seen.box[0]!, seen.box[3]! - seen.box[1]!] : [0, 0];
        const scale = SIDE / Math.max(width, height);
        const isShort = Math.min(w, h) <= (2 * window.side) / SIDE;
        expect(isShort || w * h <= 0.11 * Math.round(width * scale) * Math.round(height * scale)).toBe(true);
      }
    }),
  ));

test("20 000 draws: the centre even over the middle half, scale and shift even over their ranges", () => {
  const random = new Random(7);
  const options = { side: 1000, scale: 0.5, translate: 0.1, probability: 1 };
  const drawn: MosaicDraw[] = Array.from({ length: 20_000 }, () => drawMosaic(options, random));
  const isEven = (values: readonly number[], [low, high]: readonly [number, number]) => {
    expect(Math.min(...values)).toBeGreaterThanOrEqual(low);
    expect(Math.max(...values)).toBeLessThanOrEqual(high);
    const mean = values.reduce((a, b) => a + b) / values.length;
    expect(Math.abs(mean - (low + high) / 2)).toBeLessThan(5 * Math.sqrt((high - low) ** 2 / 12 / values.length));
  };
  for (const axis of [0, 1] as const)
    isEven(
      drawn.map(({ centre }) => centre[axis] + 0.5),
      [500, 1500],
    );
  const gains = drawn.map(({ window }) => 1000 / window.side);
  isEven(gains, [0.4995, 1.501]);
  for (const start of ["left", "top"] as const)
    isEven(
      drawn.map(({ window }, i) => ((1000 - window[start]) * gains[i]!) / 1000),
      [0.398, 0.602],
    );
});

test("a blend has the mean of both images by their shares, and the boxes of both at the first one's size", () =>
  fc.assert(
    fc.property(sides, sides, fc.double({ min: 0, max: 1, noNaN: true }), ([w, h], [width, height], share) => {
      const out = mixed(flat(200, w, h), flat(40, width, height), share);
      expect(new Set(out.image.data)).toEqual(new Set([Math.trunc(200 * share + 40 * (1 - share))]));
      expect([...out.labels]).toEqual([200, 40]);
      const [first, second] = [out.boxes.subarray(0, 4), out.boxes.subarray(4)];
      expect([...first]).toEqual([0, 0, w, h]);
      for (const [i, value] of second.entries()) expect(value).toBeCloseTo([0, 0, w, h][i]!, 3);
    }),
  ));

test("shares are those of Beta(32, 32)", () => {
  const random = new Random(3);
  const drawn = Array.from({ length: 20_000 }, () => drawShare(32, random));
  const mean = drawn.reduce((a, b) => a + b) / drawn.length;
  const variance = drawn.reduce((sum, value) => sum + (value - mean) ** 2, 0) / drawn.length;
  // The variance of Beta(a, a) is 1 / (4 (2a + 1)); its estimate has a relative standard error near sqrt(2 / n).
  expect(Math.abs(mean - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 260 / drawn.length));
  expect(Math.abs(variance * 260 - 1)).toBeLessThan(5 * Math.sqrt(2 / drawn.length));
});

test("without others the image stays as it is", () => {
  const sample = flat(10, 8, 8);
  expect(mosaic({ side: 32, scale: 0.5, translate: 0.1, probability: 1 })(sample, new Random(1), [])).toBe(sample);
  expect(mixup({ alpha: 32, probability: 1 })(sample, new Random(1), [])).toBe(sample);
});
