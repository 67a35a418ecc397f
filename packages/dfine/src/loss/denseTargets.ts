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

interface Match {
  /** Position of the query in [S, B, Q], and in [B, Q]. */
  readonly at: number;
  readonly row: number;
  readonly label: number;
  readonly box: Floats;
}

/** All matches of S sets (per set, per image) with their targets. */
const matchesOf = (sets: Sets, targets: readonly MatchTargets[], numQueries: number): Match[] =>
  sets.flatMap((images, s) =>
    images.flatMap(({ queries, targets: matched }, b) =>
      Array.from(queries, (query, i): Match => {
        const { labels, boxes } = targets[b]!;
        const [row, target] = [b * numQueries + query, matched[i]!];
        const at = s * targets.length * numQueries + row;
        return { at, row, label: labels[target]!, box: boxes.subarray(target * 4, target * 4 + 4) };
      }),
    ),
  );

/** Spreads the matches of S sets (per set, per image) over all queries of predictions `like` [S, B, Q, …]. */
export function denseTargets(sets: Sets, targets: readonly MatchTargets[], like: Tensor): DenseTargets {
  const { backend } = like;
  const numQueries = like.shape[2]!;
  const shape = [sets.length, targets.length, numQueries];
  const labels = new Int32Array(sizeOf(shape)).fill(-1);
  const boxes = new Float64Array(labels.length * 4);
  for (const { at, label, box } of matchesOf(sets, targets, numQueries)) {
    labels[at] = label;
    boxes.set(box, at * 4);
  }
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
  for (const { at, row, box } of matchesOf(sets, targets, numQueries)) {
    const found = bbox2distance(refPoints.subarray(row * 4, row * 4 + 4), box, weighting);
    bins.set(found.bins, at * 4);
    weightLeft.set(found.weightLeft, at * 4);
    weightRight.set(found.weightRight, at * 4);
  }
  return {
    bins: tensor(bins, shape, { backend }),
    weightLeft: tensor(weightLeft, shape, { backend }),
    weightRight: tensor(weightRight, shape, { backend }),
  };
}
