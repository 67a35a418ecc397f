import { type Backend, type Tensor, tensor } from "@dfine/tensor";
import { bbox2distance } from "../model/distance.ts";
import type { WeightingParameters } from "../model/weighting.ts";
import type { EdgeTargets } from "./fineGrained.ts";
import type { MatchedPairs, MatchTargets } from "./matches.ts";

type Floats = Float32Array | Float64Array;

/** Class and box that each query of a batch aims at, in shapes that do not depend on the number of boxes. */
export interface DenseTargets {
  /** [S or 1, B, Q], i32; −1 for queries without a target. */
  readonly labels: Tensor;
  /** [S or 1, B, Q, 4], cxcywh; any box for queries without a target. */
  readonly boxes: Tensor;
}

export interface DenseOptions {
  readonly numQueries: number;
  readonly backend: Backend;
}

const eachPair = (pairs: readonly MatchedPairs[], visit: (b: number, query: number, target: number) => void): void =>
  pairs.forEach(({ queries, targets }, b) => {
    queries.forEach((query, i) => {
      visit(b, query, targets[i]!);
    });
  });

/** Spreads the matches of S sets (per set, per image) over all queries. */
export function denseTargets(
  sets: readonly (readonly MatchedPairs[])[],
  targets: readonly MatchTargets[],
  { numQueries, backend }: DenseOptions,
): DenseTargets {
  const shape = [sets.length, targets.length, numQueries];
  const count = sets.length * targets.length * numQueries;
  const labels = new Int32Array(count).fill(-1);
  const boxes = new Float64Array(count * 4);
  sets.forEach((pairs, s) => {
    eachPair(pairs, (b, query, target) => {
      const at = (s * targets.length + b) * numQueries + query;
      labels[at] = targets[b]!.labels[target]!;
      boxes.set(targets[b]!.boxes.subarray(target * 4, target * 4 + 4), at * 4);
    });
  });
  return { labels: tensor(labels, shape, { backend }), boxes: tensor(boxes, [...shape, 4], { backend }) };
}

/** Places the edges of every matched target between two bins, seen from `refPoints`, the values of [B, Q, 4]. */
export function denseEdgeTargets(
  sets: readonly (readonly MatchedPairs[])[],
  call: {
    readonly targets: readonly MatchTargets[];
    readonly refPoints: Floats;
    readonly weighting: WeightingParameters;
  } & DenseOptions,
): EdgeTargets {
  const { targets, refPoints, weighting, numQueries, backend } = call;
  const shape = [sets.length, targets.length, numQueries, 4];
  const count = shape.reduce((a, b) => a * b, 1);
  const bins = new Int32Array(count);
  const [weightLeft, weightRight] = [new Float64Array(count), new Float64Array(count)];
  sets.forEach((pairs, s) => {
    eachPair(pairs, (b, query, target) => {
      const row = b * numQueries + query;
      const point = refPoints.subarray(row * 4, row * 4 + 4);
      const found = bbox2distance(point, targets[b]!.boxes.subarray(target * 4, target * 4 + 4), weighting);
      const at = (s * targets.length * numQueries + row) * 4;
      bins.set(Int32Array.from(found.bins), at);
      weightLeft.set(found.weightLeft, at);
      weightRight.set(found.weightRight, at);
    });
  });
  return {
    bins: tensor(bins, shape, { backend }),
    weightLeft: tensor(weightLeft, shape, { backend }),
    weightRight: tensor(weightRight, shape, { backend }),
  };
}
