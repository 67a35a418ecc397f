import { Random } from "@dfine/tensor";
import type { Targets } from "dfine";

/** Height and width of an image, pixels. */
export const SIDE = 96;

/** Whether a point belongs to a shape that fills the square from -1 to 1; y goes down. */
type Shape = (x: number, y: number) => boolean;
const SHAPES: Record<string, Shape> = {
  circle: (x, y) => x * x + y * y <= 1,
  square: () => true,
  triangle: (x, y) => 2 * Math.abs(x) <= y + 1,
};
export const CLASSES = Object.keys(SHAPES);

/** Upper left corners of the quarters of an image, one of which each shape keeps to. */
const QUARTERS = [
  [0, 0],
  [0.5, 0],
  [0, 0.5],
  [0.5, 0.5],
] as const;

/** An image, [3, SIDE, SIDE] from 0 to 1, and what it holds. */
export interface ShapesImage {
  readonly pixels: Float32Array;
  readonly targets: Targets;
}

/** Draws image number `id`: up to four shapes of any colour on dark noise. */
export function drawImage(id: number): ShapesImage {
  const random = new Random(1).fork(`image ${id}`);
  const pixels = Float32Array.from({ length: 3 * SIDE * SIDE }, () => 0.1 * random.uniform());
  const labels: number[] = [];
  const boxes: number[] = [];
  for (const [left, top] of QUARTERS) {
    if (random.uniform() < 0.4) continue;
    const radius = 0.1 + 0.13 * random.uniform();
    const place = () => radius + (0.5 - 2 * radius) * random.uniform();
    const [cx, cy] = [left + place(), top + place()];
    const label = random.integer(CLASSES.length);
    const color = [0, 1, 2].map(() => 0.3 + 0.7 * random.uniform());
    paint(pixels, { cx, cy, radius, color, shape: SHAPES[CLASSES[label]!]! });
    labels.push(label);
    boxes.push(cx, cy, 2 * radius, 2 * radius);
  }
  return { pixels, targets: { labels: Int32Array.from(labels), boxes: Float32Array.from(boxes) } };
}

interface Painted {
  /** Centre and half a side, as fractions of the image. */
  readonly cx: number;
  readonly cy: number;
  readonly radius: number;
  readonly color: readonly number[];
  readonly shape: Shape;
}

function paint(pixels: Float32Array, { cx, cy, radius, color, shape }: Painted): void {
  for (let at = 0; at < SIDE * SIDE; at++) {
    const x = (((at % SIDE) + 0.5) / SIDE - cx) / radius;
    const y = ((Math.floor(at / SIDE) + 0.5) / SIDE - cy) / radius;
    if (Math.abs(x) > 1 || Math.abs(y) > 1 || !shape(x, y)) continue;
    color.forEach((value, channel) => {
      pixels[channel * SIDE * SIDE + at] = value;
    });
  }
}
