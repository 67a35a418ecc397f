import type { MatcherConfig } from "../config/config.ts";
import { linearSumAssignment } from "./assignment.ts";
import type { Floats, MatchedPairs, MatchTargets } from "./matches.ts";

/** Predictions and targets that do not fit together. */
export class MatcherError extends Error {
  override readonly name = "MatcherError";
}

/** How it is matched. */
export interface MatcherOptions extends MatcherConfig {
  /** Added to areas that are divided by. Default 0. */
  readonly epsilon?: number;
}

/** What is matched: logits and boxes of queries, on the host. */
export interface HostPrediction {
  readonly logits: Floats;
  readonly boxes: Floats;
}

const FLOAT32_MAX = (2 - 2 ** -23) * 2 ** 127;

/** Focal classification cost of one logit for its class; positive and negative part as in D-FINE's matcher. */
export function classCost(logit: number, alpha: number, gamma: number): number {
  const p = 1 / (1 + Math.exp(-logit));
  const positive = alpha * power(1 - p, gamma) * -Math.log(p + 1e-8);
  const negative = (1 - alpha) * power(p, gamma) * -Math.log(1 - p + 1e-8);
  return positive - negative;
}

/** The engine's own power asks a library that takes several times as long, for the same square. */
const power = (x: number, exponent: number): number => (exponent === 2 ? x * x : x ** exponent);

/** Numbers that `corners` gives for a box. */
const CORNERS = 5;

/** x1, y1, x2, y2 and area of every box; negative sides count as 0. */
function corners(boxes: Float64Array): Float64Array {
  const result = new Float64Array((boxes.length / 4) * CORNERS);
  for (let from = 0, to = 0; from < boxes.length; from += 4, to += CORNERS) {
    const cx = boxes[from]!;
    const cy = boxes[from + 1]!;
    const halfWidth = 0.5 * Math.max(boxes[from + 2]!, 0);
    const halfHeight = 0.5 * Math.max(boxes[from + 3]!, 0);
    const x1 = cx - halfWidth;
    const y1 = cy - halfHeight;
    const x2 = cx + halfWidth;
    const y2 = cy + halfHeight;
    result[to] = x1;
    result[to + 1] = y1;
    result[to + 2] = x2;
    result[to + 3] = y2;
    result[to + 4] = (x2 - x1) * (y2 - y1);
  }
  return result;
}

/** Sum of the distances of a query's box numbers from a target's. */
function distance(a: Float64Array, p: number, b: Float64Array, q: number): number {
  let sum = 0;
  for (let k = 0; k < 4; k++) sum += Math.abs(a[p + k]! - b[q + k]!);
  return sum;
}

/**
 * Generalized IoU of two boxes, given by their `corners` from p and from q on. `epsilon` is added to areas that are divided by;
 * without it two empty boxes at one point give NaN.
 */
function generalizedIou(a: Float64Array, p: number, b: Float64Array, q: number, epsilon: number): number {
  const width = Math.max(Math.min(a[p + 2]!, b[q + 2]!) - Math.max(a[p]!, b[q]!), 0);
  const height = Math.max(Math.min(a[p + 3]!, b[q + 3]!) - Math.max(a[p + 1]!, b[q + 1]!), 0);
  const intersection = width * height;
  const union = a[p + 4]! + b[q + 4]! - intersection;
  const hullWidth = Math.max(a[p + 2]!, b[q + 2]!) - Math.min(a[p]!, b[q]!);
  const hullHeight = Math.max(a[p + 3]!, b[q + 3]!) - Math.min(a[p + 1]!, b[q + 1]!);
  const hull = Math.max(hullWidth, 0) * Math.max(hullHeight, 0);
  return intersection / (union + epsilon) - (hull - union) / (hull + epsilon);
}

function finite(cost: number): number {
  if (Number.isNaN(cost)) return 1;
  return Math.min(Math.max(cost, -FLOAT32_MAX), FLOAT32_MAX);
}

function check(prediction: HostPrediction, targets: MatchTargets, classes: number): void {
  const { logits, boxes } = prediction;
  const queries = boxes.length / 4;
  if (!Number.isInteger(queries) || !Number.isInteger(classes) || (queries > 0 && classes < 1))
    throw new MatcherError(
      `hungarianMatch: ${logits.length} logits and ${boxes.length} box numbers are not [Q, C] and [Q, 4]`,
    );
  const { labels } = targets;
  if (targets.boxes.length !== labels.length * 4)
    throw new MatcherError(
      `hungarianMatch: ${labels.length} labels need ${labels.length * 4} box numbers, not ${targets.boxes.length}`,
    );
  const bad = labels.find((label) => label < 0 || label >= classes);
  if (bad !== undefined && queries > 0)
    throw new MatcherError(`hungarianMatch: label ${bad} is none of ${classes} classes; number labels from 0`);
}

/**
 * Cost [Q, n] of every query for every target: focal class cost, L1 distance and negative GIoU, weighted. NaN becomes
 * 1 and infinity the largest float32, as officially.
 */
export function matchingCost(prediction: HostPrediction, targets: MatchTargets, options: MatcherOptions): Float64Array {
  const { logits } = prediction;
  const { alpha, gamma, classWeight, bboxWeight, giouWeight, epsilon = 0 } = options;
  const queries = prediction.boxes.length / 4;
  const classes = queries === 0 ? 0 : logits.length / queries;
  check(prediction, targets, classes);
  const { labels } = targets;
  const count = labels.length;
  const boxes = new Float64Array(prediction.boxes);
  const wanted = new Float64Array(targets.boxes);
  const predictedCorners = corners(boxes);
  const wantedCorners = corners(wanted);
  const distinct = [...new Set(labels)];
  const kinds = Int32Array.from(labels, (label) => distinct.indexOf(label));
  const classCosts = new Float64Array(distinct.length);
  const cost = new Float64Array(queries * count);
  for (let query = 0; query < queries; query++) {
    for (let kind = 0; kind < distinct.length; kind++)
      classCosts[kind] = classCost(logits[query * classes + distinct[kind]!]!, alpha, gamma);
    for (let target = 0; target < count; target++) {
      const away = distance(boxes, query * 4, wanted, target * 4);
      const giou = generalizedIou(predictedCorners, query * CORNERS, wantedCorners, target * CORNERS, epsilon);
      const whole = bboxWeight * away + classWeight * classCosts[kinds[target]!]! - giouWeight * giou;
      cost[query * count + target] = finite(whole);
    }
  }
  return cost;
}

/**
 * Matches the queries of one image, logits [Q, C] and boxes [Q, 4] (cxcywh), one to one with its targets.
 * DETR's Hungarian matching with D-FINE's costs. @throws MatcherError
 */
export function hungarianMatch(
  prediction: HostPrediction,
  targets: MatchTargets,
  options: MatcherOptions,
): MatchedPairs {
  const cost = matchingCost(prediction, targets, options);
  const { rows, columns } = linearSumAssignment(cost, prediction.boxes.length / 4, targets.labels.length);
  return { queries: rows, targets: columns };
}

/** `hungarianMatch` for logits [B, Q, C] and boxes [B, Q, 4], one list of targets per image. @throws MatcherError */
export function hungarianMatchBatch(
  prediction: HostPrediction,
  targets: readonly MatchTargets[],
  options: MatcherOptions,
): MatchedPairs[] {
  const { logits, boxes } = prediction;
  const logitsEach = logits.length / targets.length;
  const boxesEach = boxes.length / targets.length;
  if (targets.length > 0 && !(Number.isInteger(logitsEach) && Number.isInteger(boxesEach)))
    throw new MatcherError(
      `hungarianMatchBatch: ${logits.length} logits and ${boxes.length} box numbers do not split into ${targets.length} images`,
    );
  return targets.map((wanted, b) => {
    const image = {
      logits: logits.subarray(b * logitsEach, (b + 1) * logitsEach),
      boxes: boxes.subarray(b * boxesEach, (b + 1) * boxesEach),
    };
    return hungarianMatch(image, wanted, options);
  });
}
