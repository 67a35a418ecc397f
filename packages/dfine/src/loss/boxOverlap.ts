import { defineMap, noGrad, split, type Tensor } from "@dfine/tensor";
import type { Expr } from "@dfine/tensor/kernel";
import type { DenseTargets } from "./denseTargets.ts";
import { sumPerSet } from "./perSet.ts";

interface Corners {
  readonly x1: Expr;
  readonly y1: Expr;
  readonly x2: Expr;
  readonly y2: Expr;
}

const atLeastZero = (x: Expr): Expr => x.lt(0).select(0, x);

/** cxcywh as corners; negative sides count as 0. */
function corners([cx, cy, w, h]: readonly Expr[]): Corners {
  const [halfWidth, halfHeight] = [atLeastZero(w!).mul(0.5), atLeastZero(h!).mul(0.5)];
  return { x1: cx!.sub(halfWidth), y1: cy!.sub(halfHeight), x2: cx!.add(halfWidth), y2: cy!.add(halfHeight) };
}

const area = ({ x1, y1, x2, y2 }: Corners): Expr => x2.sub(x1).mul(y2.sub(y1));

function iouAndUnion([a, b]: readonly [Corners, Corners], epsilon: Expr): { iou: Expr; union: Expr } {
  const width = atLeastZero(a.x2.min(b.x2).sub(a.x1.max(b.x1)));
  const height = atLeastZero(a.y2.min(b.y2).sub(a.y1.max(b.y1)));
  const intersection = width.mul(height);
  const union = area(a).add(area(b)).sub(intersection);
  return { iou: intersection.div(union.add(epsilon)), union };
}

/** Generalised IoU of two boxes. */
export function giouOf([a, b]: readonly [Corners, Corners], epsilon: Expr): Expr {
  const { iou, union } = iouAndUnion([a, b], epsilon);
  const hull = atLeastZero(a.x2.max(b.x2).sub(a.x1.min(b.x1))).mul(atLeastZero(a.y2.max(b.y2).sub(a.y1.min(b.y1))));
  return iou.sub(hull.sub(union).div(hull.add(epsilon)));
}

/** What conformance draws for a pair of boxes. */
export const SAMPLED_PAIR = [0, 1].flatMap((): [number, number][] => [
  [0, 1],
  [0, 1],
  [0.1, 1],
  [0.1, 1],
]);
/** Two boxes, and the epsilon. */
export type Pair = [Expr, Expr, Expr, Expr, Expr, Expr, Expr, Expr, Expr];
export const pairOf = (c: readonly Expr[]) => [corners(c.slice(0, 4)), corners(c.slice(4, 8))] as const;

const iouMap = defineMap("boxIou", (...c: Pair) => iouAndUnion(pairOf(c), c[8]).iou, {
  inputs: [...SAMPLED_PAIR, 1e-6],
});
const giouMap = defineMap("boxGiou", (...c: Pair) => giouOf(pairOf(c), c[8]), { inputs: [...SAMPLED_PAIR, 1e-6] });

// Pairs without a target compare a fixed box with itself, so that no gradient there is NaN, and count as 0.
const giouLossMap = defineMap(
  "giouLoss",
  (label: Expr, ...c: Pair) => {
    const isMatched = label.lt(0).not();
    const orFixed = c.map((x, i) => isMatched.select(x, i % 4 < 2 ? 0.5 : 1));
    const loss = giouOf(pairOf(orFixed), c[8]).neg().add(1);
    return isMatched.select(loss, 0);
  },
  { inputs: ["i32", ...SAMPLED_PAIR, 1e-6] },
);

const l1LossMap = defineMap("l1Loss", (label, box, target) => label.lt(0).select(0, box.sub(target).abs()), {
  inputs: ["i32", [0, 1], [2, 3]],
});

/** The four columns of boxes [..., 4] as views [...]. */
export const columns = (boxes: Tensor) =>
  split(boxes, [1, 1, 1, 1], -1).map((column) => column.squeeze(-1)) as [Tensor, Tensor, Tensor, Tensor];

/**
 * IoU of boxes that broadcast, [..., 4] cxcywh each → [...]. `epsilon` is added to areas that are divided by; without it two
 * empty boxes give NaN.
 */
export const boxIou = (a: Tensor, b: Tensor, epsilon = 0): Tensor => iouMap(...columns(a), ...columns(b), epsilon);

/** Generalised IoU of boxes that broadcast, [..., 4] cxcywh each → [...]; see `boxIou`. Rezatofighi et al. 2019. */
export const boxGiou = (a: Tensor, b: Tensor, epsilon = 0): Tensor => giouMap(...columns(a), ...columns(b), epsilon);

/** Boxes of S sets with the target of each query. */
export interface BoxPairs extends DenseTargets {
  /** [S, B, Q, 4], cxcywh. */
  readonly boxes: Tensor;
  /** Added to areas that are divided by. Default 0. */
  readonly epsilon?: number;
}

/** A value for each query, 0 for those without a target, whatever it is there: a box without area has IoU 0/0. */
export const matchedOnly = defineMap("matchedOnly", (label, value) => label.lt(0).select(0, value), {
  inputs: ["i32", [-3, 3]],
});

/** IoU of each query's box with its target, 0 without one → [S, B, Q], no gradient: a weight or target of other losses. */
export const matchedIou = ({ boxes, targets, labels, epsilon }: BoxPairs): Tensor =>
  noGrad(() => matchedOnly(labels, boxIou(boxes, targets, epsilon)));

/** Σ |box − target| over matched queries and coordinates → [S]. */
export const l1Loss = ({ boxes, targets, labels }: BoxPairs): Tensor =>
  sumPerSet(l1LossMap(labels.unsqueeze(-1), boxes, targets));

/** Σ (1 − GIoU) over matched queries → [S]. */
export const giouLoss = ({ boxes, targets, labels, epsilon = 0 }: BoxPairs): Tensor =>
  sumPerSet(giouLossMap(labels, ...columns(boxes), ...columns(targets), epsilon));
