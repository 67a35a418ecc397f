import { memo } from "@dfine/tensor/kernel";
import type { Floats } from "../loss/matches.ts";
import { type WeightingParameters, weightingFunction } from "./weighting.ts";

/** Targets of the four edge distributions, [K, 4] in the order left, top, right, bottom. */
export interface DistanceTargets {
  /** Left bin; regMax - 0.1 beyond the last weight, so that truncation gives the last pair of bins. */
  readonly bins: Float64Array;
  readonly weightRight: Float64Array;
  readonly weightLeft: Float64Array;
}

const weightsOf = new WeakMap<WeightingParameters, Float64Array>();

/** Distance, in bins, by which D-FINE's code keeps the largest bin below regMax. */
const TOP_MARGIN = 0.1;

/** Position of `distance` between two weights: the left bin and how near it lies to the right one. */
function place(distance: number, weights: Float64Array): { bin: number; right: number; left: number } {
  const last = weights.length - 1;
  let bin = -1;
  while (bin < last && weights[bin + 1]! <= distance) bin++;
  if (bin < 0) return { bin: 0, right: 0, left: 1 };
  if (bin >= last) return { bin: last - TOP_MARGIN, right: 1, left: 0 };
  const toLeft = Math.abs(distance - weights[bin]!);
  const toRight = Math.abs(weights[bin + 1]! - distance);
  const right = toLeft / (toLeft + toRight);
  return { bin, right, left: 1 - right };
}

/**
 * Expresses target boxes [K, 4] as distances from reference boxes [K, 4] (both cxcywh) in units of box side / regScale,
 * and places each distance between two bins of W(n). Without gradient. `bbox2distance` of D-FINE's code; inverse of
 * decoding the mixture weightLeft · W(n) + weightRight · W(n + 1).
 */
export function bbox2distance(points: Floats, targetBoxes: Floats, parameters: WeightingParameters): DistanceTargets {
  const weights = memo(weightsOf, parameters, () => weightingFunction(parameters));
  const scale = Math.abs(parameters.regScale);
  const out = {
    bins: new Float64Array(points.length),
    weightRight: new Float64Array(points.length),
    weightLeft: new Float64Array(points.length),
  };
  for (let edge = 0; edge < points.length; edge++) {
    const axis = edge % 2;
    const box = edge - (edge % 4);
    const side = points[box + 2 + axis]! / scale + 1e-16;
    const halfTarget = 0.5 * Math.max(targetBoxes[box + 2 + axis]!, 0);
    const shift = targetBoxes[box + axis]! - points[box + axis]!;
    const outward = edge % 4 < 2 ? halfTarget - shift : halfTarget + shift;
    const { bin, right, left } = place(outward / side - 0.5 * scale, weights);
    out.bins[edge] = bin;
    out.weightRight[edge] = right;
    out.weightLeft[edge] = left;
  }
  return out;
}
