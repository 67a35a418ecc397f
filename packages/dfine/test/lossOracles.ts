import { type Tensor, tensor } from "@dfine/tensor";
import fc from "fast-check";
import type { MatcherConfig } from "../src/config/config.ts";

// What the tests of losses draw from, and oracles straight from the formulas of docs/specification.md §11, one number at a time.
export const ints = (values: readonly number[], shape: readonly number[]): Tensor =>
  tensor(Int32Array.from(values), shape);
export const floats = (values: readonly number[], shape: readonly number[]): Tensor =>
  tensor(Float64Array.from(values), shape);
export const array = <T>(length: number, of: fc.Arbitrary<T>) => fc.array(of, { minLength: length, maxLength: length });
export const number = (min: number, max: number) => fc.double({ min, max, noNaN: true });

export const add = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
export const crossEntropy = (x: number, q: number): number =>
  -q * Math.log(sigmoid(x)) - (1 - q) * Math.log(1 - sigmoid(x));
export const softmax = (row: readonly number[]): number[] => {
  const e = row.map(Math.exp);
  return e.map((value) => value / add(e));
};

/** Where in a batch of sets, of `queries` each, a cost is asked for, and with which weights (§9). */
interface CostOf extends MatcherConfig {
  readonly b: number;
  readonly q: number;
  readonly t: number;
}

/** Cost of query q of image b for its target t. */
export function matchingCost(
  { logits, boxes, queries }: { logits: ArrayLike<number>; boxes: ArrayLike<number>; queries: number },
  targets: { labels: ArrayLike<number>; boxes: ArrayLike<number> },
  { b, q, t, alpha, gamma, classWeight, bboxWeight, giouWeight }: CostOf,
): number {
  const row = b * queries + q;
  const classes = (logits.length * 4) / boxes.length;
  const p = sigmoid(logits[row * classes + targets.labels[t]!]!);
  const positive = alpha * (1 - p) ** gamma * -Math.log(p + 1e-8);
  const negative = (1 - alpha) * p ** gamma * -Math.log(1 - p + 1e-8);
  const sides = [0, 1, 2, 3];
  const [a, w] = [sides.map((k) => boxes[row * 4 + k]!), sides.map((k) => targets.boxes[t * 4 + k]!)] as [
    number[],
    number[],
  ];
  const edges = ([cx, cy, width, height]: number[]) => [
    cx! - width! / 2,
    cy! - height! / 2,
    cx! + width! / 2,
    cy! + height! / 2,
  ];
  const [[ax, ay, aX, aY], [wx, wy, wX, wY]] = [edges(a), edges(w)] as [number[], number[]];
  const area = (x: number, y: number) => Math.max(x, 0) * Math.max(y, 0);
  const shared = area(Math.min(aX!, wX!) - Math.max(ax!, wx!), Math.min(aY!, wY!) - Math.max(ay!, wy!));
  const union = area(a[2]!, a[3]!) + area(w[2]!, w[3]!) - shared;
  const hull = area(Math.max(aX!, wX!) - Math.min(ax!, wx!), Math.max(aY!, wY!) - Math.min(ay!, wy!));
  const distance = add(sides.map((k) => Math.abs(a[k]! - w[k]!)));
  return (
    bboxWeight * distance + classWeight * (positive - negative) - giouWeight * (shared / union - (hull - union) / hull)
  );
}
