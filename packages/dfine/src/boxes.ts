import { concat, defineMap, sigmoid, split, type Tensor, type TensorLike } from "@dfine/tensor";
import type { Expr } from "@dfine/tensor/kernel";

/** Nearest to 0 and 1 that the inverse sigmoid takes, where nothing else is said. */
const EPSILON = 1e-5;

const atLeast = (x: Expr, low: Expr): Expr => x.lt(low).select(low, x);

/** ln(x / (1 − x)) of x limited to 0…1, and both sides of the quotient to `epsilon`. */
const logit = (x: Expr, epsilon: Expr): Expr => {
  const inside = x.lt(0).select(0, x.gt(1).select(1, x));
  return atLeast(inside, epsilon)
    .div(atLeast(inside.neg().add(1), epsilon))
    .log();
};

const logitMap = defineMap("inverseSigmoid", logit, { inputs: [[0.1, 0.9], EPSILON] });
const movedMap = defineMap("moveBox", (delta, box, epsilon) => delta.add(logit(box, epsilon)).sigmoid(), {
  inputs: [[-2, 2], [0.1, 0.9], EPSILON],
});

/** Inverse of the sigmoid, finite everywhere: ln(max(x, ε) / max(1 − x, ε)) of x limited to 0…1. */
export const inverseSigmoid = (x: Tensor, epsilon = EPSILON): Tensor => logitMap(x, epsilon);

/**
 * Boxes moved by `delta` before the sigmoid: σ(delta + inverseSigmoid(box)). Around points [..., 2], which have no sides yet,
 * the sides are those of `delta` [..., 4] alone.
 */
export function moveBox(delta: Tensor, from: Tensor, epsilon = EPSILON): Tensor {
  if (from.shape.at(-1) === delta.shape.at(-1)) return movedMap(delta, from, epsilon);
  const [centre, sides] = split(delta, [2, 2], -1) as [Tensor, Tensor];
  return concat([movedMap(centre, from, epsilon), sigmoid(sides)], -1);
}

/** Low and high edge along one axis, whose distances from the edges of a box are counted in side / scale. */
const edges = (centre: Expr, side: Expr, [low, high, scale]: readonly [Expr, Expr, Expr]): [Expr, Expr] => {
  const unit = side.div(scale);
  const half = scale.mul(0.5);
  return [centre.sub(half.add(low).mul(unit)), centre.add(half.add(high).mul(unit))];
};

/** A map of centre, side, both distances and scale through the two edges that they stand for. */
const ofEdges = (name: string, combine: (low: Expr, high: Expr) => Expr) =>
  defineMap(name, (centre, side, low, high, scale) => combine(...edges(centre, side, [low, high, scale])), {
    inputs: [
      [0, 1],
      [0.1, 1],
      [-1, 1],
      [-1, 1],
      [2, 8],
    ],
  });
const distanceToCentre = ofEdges("distanceToCentre", (low, high) => low.add(high).div(2));
const distanceToSide = ofEdges("distanceToSide", (low, high) => high.sub(low));

/**
 * Decodes edge distances [..., 4] (left, top, right, bottom; outward, in units of side / scale) around boxes [..., 4]
 * (cxcywh) into boxes [..., 4] (cxcywh). Not clamped: edges may cross. `distance2bbox` of D-FINE's code.
 */
export function distanceToBox(points: Tensor, distances: Tensor, scale: TensorLike): Tensor {
  const halves = (x: Tensor) => split(x, [2, 2], -1) as [Tensor, Tensor];
  const parts = [...halves(points), ...halves(distances), scale] as const;
  return concat([distanceToCentre(...parts), distanceToSide(...parts)], -1);
}
