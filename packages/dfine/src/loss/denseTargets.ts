import { sizeOf, type Tensor, tensor } from "@dfine/tensor";
import { bbox2distance } from "../model/distance.ts";
import type { WeightingParameters } from "../model/weighting.ts";
import type { EdgeTargets } from "./fineGrained.ts";
import type { Floats, MatchedPairs, MatchTargets } from "./matches.ts";

/** Class and box that each query of a batch aims at, in shapes that do not depend on the number of boxes. */
export interface DenseTargets {
  /** [S or 1, B, Q], i32; −1 for queries without a target. */
  readonly labels: Tensor;
  /** [S or 1, B, Q, 4], cxcywh; any box for queries without a target. */
  readonly targets: Tensor;
}

type Sets = readonly (readonly MatchedPairs[])[];

interface Matches {
  /** Positions [K] of the queries in [S, B, Q], and in [B, Q]. */
  readonly at: Int32Array;
  readonly rows: Int32Array;
  readonly labels: Int32Array;
  /** [K, 4] */
  readonly boxes: Float64Array;
}

/** All matches of S sets (per set, per image) with their targets. */
function matchesOf(sets: Sets, targets: readonly MatchTargets[], numQueries: number): Matches {
  const count = sets.reduce((sum, images) => images.reduce((all, { queries }) => all + queries.length, sum), 0);
  const [at, rows, labels] = [new Int32Array(count), new Int32Array(count), new Int32Array(count)];
  const boxes = new Float64Array(count * 4);
  let k = 0;
  for (const [s, images] of sets.entries())
    for (const [b, { queries, targets: matched }] of images.entries()) {
      const own = targets[b]!;
      for (let i = 0; i < queries.length; i++, k++) {
        const target = matched[i]!;
        rows[k] = b * numQueries + queries[i]!;
        at[k] = s * targets.length * numQueries + rows[k]!;
        labels[k] = own.labels[target]!;
        for (let edge = 0; edge < 4; edge++) boxes[k * 4 + edge] = own.boxes[target * 4 + edge]!;
      }
    }
  return { at, rows, labels, boxes };
}

/** Puts rows [K, 4] where their queries are in `dense` [S, B, Q, 4]. */
function spread(rows: Floats, at: Int32Array, dense: Float64Array | Int32Array): void {
  for (let i = 0; i < rows.length; i++) dense[at[i >> 2]! * 4 + (i & 3)] = rows[i]!;
}

/** Spreads the matches of S sets (per set, per image) over all queries of predictions `like` [S, B, Q, …]. */
export function denseTargets(sets: Sets, targets: readonly MatchTargets[], like: Tensor): DenseTargets {
  const { backend } = like;
  const numQueries = like.shape[2]!;
  const shape = [sets.length, targets.length, numQueries];
  const labels = new Int32Array(sizeOf(shape)).fill(-1);
  const boxes = new Float64Array(labels.length * 4);
  const matches = matchesOf(sets, targets, numQueries);
  for (let k = 0; k < matches.at.length; k++) labels[matches.at[k]!] = matches.labels[k]!;
  spread(matches.boxes, matches.at, boxes);
  return { labels: tensor(labels, shape, { backend }), targets: tensor(boxes, [...shape, 4], { backend }) };
}

/** Places the edges of every matched target between two bins, seen from `refPoints`, the values of [B, Q, 4]. */
export function denseEdgeTargets(
  sets: Sets,
  targets: readonly MatchTargets[],
  options: { readonly refPoints: Floats; readonly weighting: WeightingParameters; readonly like: Tensor },
): EdgeTargets {
  const { refPoints, weighting, like } = options;
  const { backend } = like;
  const numQueries = like.shape[2]!;
  const shape = [sets.length, targets.length, numQueries, 4];
  const bins = new Int32Array(sizeOf(shape));
  const [weightLeft, weightRight] = [new Float64Array(bins.length), new Float64Array(bins.length)];
  const { at, rows, boxes } = matchesOf(sets, targets, numQueries);
  const points = new Float64Array(boxes.length);
  for (let i = 0; i < points.length; i++) points[i] = refPoints[rows[i >> 2]! * 4 + (i & 3)]!;
  const found = bbox2distance(points, boxes, weighting);
  spread(found.bins, at, bins);
  spread(found.weightLeft, at, weightLeft);
  spread(found.weightRight, at, weightRight);
  return {
    bins: tensor(bins, shape, { backend }),
    weightLeft: tensor(weightLeft, shape, { backend }),
    weightRight: tensor(weightRight, shape, { backend }),
  };
}
