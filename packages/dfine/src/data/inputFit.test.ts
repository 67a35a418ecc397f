import { cpu } from "@dfine/backend-cpu";
import { tensor } from "@dfine/tensor";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { tinyModel } from "../../test/tinyModel.ts";
import { ConfigError } from "../config/errors.ts";
import type { Detector } from "../model/detector.ts";
import { modelPredictor } from "../predictor.ts";
import { createImage } from "./image.ts";
import { inputFrame, placeInInput, RESIZES, shortestEdge, toInput, toInputs } from "./inputFit.ts";
import { toTargets } from "./targets.ts";

const backend = cpu({ threads: 1 });
afterAll(() => backend.dispose());

const side = fc.integer({ min: 1, max: 400 });
const inputSize = fc.tuple(fc.constantFrom(32, 64, 96), fc.constantFrom(32, 64, 96));

test("letterboxed, an image keeps its shape, touches two edges, and lies in the middle", () =>
  fc.assert(
    fc.property(side, side, inputSize, (width, height, size) => {
      const placed = placeInInput({ width, height }, size, "letterbox");
      const [right, bottom] = [size[1] - placed.width - placed.left, size[0] - placed.height - placed.top];
      expect(Math.min(placed.left, placed.top, right, bottom)).toBe(0);
      expect(
        [right - placed.left, bottom - placed.top].every((difference) => difference === 0 || difference === 1),
      ).toBe(true);
      const scale = Math.min(size[0] / height, size[1] / width);
      expect(Math.abs(placed.width - width * scale)).toBeLessThanOrEqual(width * scale < 1 ? 1 : 0.5);
      expect(Math.abs(placed.height - height * scale)).toBeLessThanOrEqual(height * scale < 1 ? 1 : 0.5);
    }),
  ));

test("around a letterboxed image is grey, and its box covers its pixels", () =>
  fc.assert(
    fc.property(side, side, inputSize, (width, height, size) => {
      const white = createImage(width, height);
      white.data.fill(255);
      const input = toInput(white, size, "letterbox");
      const whole = { labels: Int32Array.of(0), boxes: Float32Array.of(0, 0, width, height) };
      const [cx, cy, w, h] = toTargets(whole, white, { size, resize: "letterbox", minSide: 0 }).boxes;
      const isInside = (at: number, centre: number, length: number) => Math.abs(at - centre) < length / 2;
      for (let y = 0; y < size[0]; y++)
        for (let x = 0; x < size[1]; x++) {
          const inside = isInside((x + 0.5) / size[1], cx!, w!) && isInside((y + 0.5) / size[0], cy!, h!);
          if (input.data[3 * (y * size[1] + x)] !== (inside ? 255 : 114)) expect.unreachable(`pixel ${x}, ${y}`);
        }
    }),
    { numRuns: 30 },
  ));

/** Python's `round(numerator / denominator)` in whole numbers: halves go to the even neighbour. */
function pythonRound(numerator: number, denominator: number): number {
  const rest = numerator % denominator;
  const low = (numerator - rest) / denominator;
  if (2 * rest === denominator) return low % 2 === 0 ? low : low + 1;
  return 2 * rest < denominator ? low : low + 1;
}

test("by its shortest edge, an image keeps its shape, and grows or shrinks as far as its longest edge lets it", () =>
  fc.assert(
    fc.property(side, side, side, side, (width, height, shortest, more) => {
      const longest = shortest + more;
      const found = shortestEdge({ width, height }, shortest, longest);
      const [short, long] = [Math.min(width, height), Math.max(width, height)];
      const edge = Math.min(found.width, found.height);
      const isLimited = (long / short) * shortest > longest;
      expect(edge).toBe(isLimited ? Math.max(1, pythonRound(longest * short, long)) : shortest);
      // Cut off, not rounded: less than a pixel short of the image's own shape.
      const exact = (edge * long) / short;
      const other = Math.max(found.width, found.height);
      expect(exact - other).toBeLessThan(1);
      expect(other).toBeLessThanOrEqual(exact);
    }),
  ));

test("images of different sizes are padded with black at the right and at the bottom, and their sizes told", () =>
  fc.assert(
    fc.property(fc.array(fc.tuple(side, side), { minLength: 1, maxLength: 3 }), (sizes) => {
      const white = sizes.map(([width, height]) => {
        const image = createImage(width, height);
        image.data.fill(255);
        return image;
      });
      const { images, shape, validSizes } = toInputs(white, [16, 24], "shortestEdge");
      const [count, , height, width] = shape;
      const own = white.map((image) => toInput(image, [16, 24], "shortestEdge"));
      expect([count, height, width]).toEqual([
        sizes.length,
        Math.max(...own.map((image) => image.height)),
        Math.max(...own.map((image) => image.width)),
      ]);
      const isPadded = own.some((image) => image.height < height || image.width < width);
      expect(validSizes).toEqual(isPadded ? own.map((image) => [image.height, image.width]) : undefined);
      images.forEach((value, i) => {
        const [x, y] = [i % width, Math.floor(i / width) % height];
        const image = own[Math.floor(i / (3 * height * width))]!;
        if (value !== (x < image.width && y < image.height ? 1 : 0)) expect.unreachable(`pixel ${x}, ${y}`);
      });
    }),
    { numRuns: 30 },
  ));

/** A model that finds what it is told to find. */
function toldModel(boxes: Float32Array, resize: (typeof RESIZES)[number]): Detector {
  const config = { ...tinyModel(), resize, numTopQueries: 1 };
  const predictions = () => ({ logits: tensor([1], [1, 1, 1]), boxes: tensor(boxes, [1, 1, 4]) });
  return { config, predictions } as unknown as Detector;
}

test("squeezed, the input's frame is the image's, to the last bit", () =>
  fc.assert(
    fc.property(side, side, inputSize, (width, height, size) => {
      expect(inputFrame({ width, height }, size, "squeeze")).toEqual({ left: 0, top: 0, width, height });
    }),
  ));

test("a target that is found is where it was annotated", () =>
  fc.assert(
    fc.asyncProperty(side, side, inputSize, fc.constantFrom(...RESIZES), async (width, height, size, resize) => {
      const box = Float32Array.of(0.1 * width, 0.3 * height, 0.6 * width, 0.9 * height);
      const targets = toTargets(
        { labels: Int32Array.of(0), boxes: box },
        { width, height },
        { size, resize, minSide: 0 },
      );
      const predict = modelPredictor(toldModel(targets.boxes, resize), backend);
      const images = new Float32Array(3 * size[0] * size[1]);
      const [found] = await predict({ images, shape: [1, 3, ...size], origSizes: [[width, height]], resize });
      for (const [i, value] of found!.boxes.entries()) expect(Math.abs(value - box[i]!)).toBeLessThan(1e-3);
    }),
    { numRuns: 30 },
  ));

test("images that came in another way than the model's are refused", async () => {
  const predict = modelPredictor(toldModel(new Float32Array(4), "letterbox"), backend);
  const input = { images: new Float32Array(3 * 1024), shape: [1, 3, 32, 32], origSizes: [[8, 8]] } as const;
  await expect(predict(input)).rejects.toThrow(ConfigError);
  await expect(predict(input)).rejects.toThrow(/model\.resize=letterbox, but these came with squeeze/);
});
