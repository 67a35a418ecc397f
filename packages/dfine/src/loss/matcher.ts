import { defineMap, indexSelect, noGrad, readTensors, scope, type Tensor, tensor } from "@dfine/tensor";
import type { Expr } from "@dfine/tensor/kernel";
import type { MatcherConfig } from "../config/config.ts";
import { linearSumAssignment } from "./assignment.ts";
import { columns, giouOf, type Pair, pairOf, SAMPLED_PAIR } from "./boxOverlap.ts";
import type { Floats, MatchedPairs, MatchTargets } from "./matches.ts";
import { sigmoidPower } from "./varifocal.ts";

/** Predictions and targets that do not fit together. */
export class MatcherError extends Error {
  override readonly name = "MatcherError";
}

/** How it is matched. */
export interface MatcherOptions extends MatcherConfig {
  /** Added to areas that are divided by. Default 0. */
  readonly epsilon?: number;
}

/** What is matched: logits [B, Q, C] and boxes [B, Q, 4] (cxcywh) of queries. */
export interface Matchable {
  readonly logits: Tensor;
  readonly boxes: Tensor;
}

const FLOAT32_MAX = (2 - 2 ** -23) * 2 ** 127;

/** Focal classification cost of a logit for its class; positive and negative part as in D-FINE's matcher. */
function classCost(logit: Expr, alpha: Expr, gamma: Expr): Expr {
  const part = (x: Expr, share: Expr): Expr =>
    share.mul(sigmoidPower(x.neg(), gamma)).mul(x.sigmoid().add(1e-8).log().neg());
  return part(logit, alpha).sub(part(logit.neg(), alpha.neg().add(1)));
}

const cost = defineMap(
  "matchingCost",
  (logit: Expr, ...rest: [...Pair, ...[alpha: Expr, gamma: Expr, classes: Expr, boxes: Expr, gious: Expr]]) => {
    const pair = rest.slice(0, 9) as Pair;
    const [alpha, gamma, classes, boxes, gious] = rest.slice(9) as [Expr, Expr, Expr, Expr, Expr];
    const distances = [0, 1, 2, 3].map((k) => pair[k]!.sub(pair[k + 4]!).abs());
    const distance = distances.reduce((a, b) => a.add(b));
    const giou = giouOf(pairOf(pair), pair[8]);
    return boxes
      .mul(distance)
      .add(classes.mul(classCost(logit, alpha, gamma)))
      .sub(gious.mul(giou));
  },
  { inputs: [[-4, 4], ...SAMPLED_PAIR, 1e-6, 0.25, 2, 2, 5, 2], differentiable: false },
);

/** The largest number of targets of an image. */
const most = (targets: readonly MatchTargets[]): number => Math.max(0, ...targets.map(({ labels }) => labels.length));

/** @throws MatcherError */
function check({ logits, boxes }: Matchable, targets: readonly MatchTargets[]): void {
  const [batch, , classes] = logits.shape;
  if (batch !== targets.length)
    throw new MatcherError(`matcher: predictions of ${batch} images, targets of ${targets.length}`);
  if (logits.rank !== 3 || boxes.shape.join() !== [...logits.shape.slice(0, 2), 4].join())
    throw new MatcherError(
      `matcher: logits [${logits.shape}] and boxes [${boxes.shape}] are not [B, Q, C] and [B, Q, 4]`,
    );
  for (const { labels, boxes } of targets) {
    if (boxes.length !== labels.length * 4)
      throw new MatcherError(
        `matcher: ${labels.length} labels need ${labels.length * 4} box numbers, not ${boxes.length}`,
      );
    const bad = labels.find((label) => label < 0 || label >= classes!);
    if (bad !== undefined)
      throw new MatcherError(`matcher: label ${bad} is none of ${classes} classes; number labels from 0`);
  }
}

/**
 * Cost [B, Q, T] of every query for every target of its image, of which T is the largest number: focal class cost, L1 distance and
 * negative GIoU, weighted. An image's columns behind its last target mean nothing. Without gradient. @throws MatcherError
 */
export function matchingCosts(set: Matchable, targets: readonly MatchTargets[], options: MatcherOptions): Tensor {
  check(set, targets);
  const { logits, boxes } = set;
  const { backend } = logits;
  const [batch, queries, classes] = logits.shape as [number, number, number];
  const count = most(targets);
  const places = new Int32Array(batch * queries * count);
  const wanted = new Float64Array(batch * count * 4);
  for (const [b, target] of targets.entries()) {
    wanted.set(target.boxes, b * count * 4);
    const labels = new Int32Array(count);
    labels.set(target.labels);
    for (let q = 0, at = b * queries; q < queries; q++, at++)
      for (let t = 0; t < count; t++) places[at * count + t] = at * classes + labels[t]!;
  }
  const { alpha, gamma, classWeight, bboxWeight, giouWeight, epsilon = 0 } = options;
  return noGrad(() =>
    scope("matchingCosts", () => {
      const index = tensor(places, [places.length], { backend });
      const ofLabels = indexSelect(logits.reshape([-1, 1]), index).reshape([batch, queries, count]);
      const pair = [
        ...columns(boxes.unsqueeze(2)),
        ...columns(tensor(wanted, [batch, 1, count, 4], { backend })),
      ] as const;
      return cost(ofLabels, ...pair, epsilon, alpha, gamma, classWeight, bboxWeight, giouWeight);
    }),
  );
}

/** As officially: NaN becomes 1, and infinity the largest float32. */
function finite(cost: number): number {
  if (Number.isNaN(cost)) return 1;
  return Math.min(Math.max(cost, -FLOAT32_MAX), FLOAT32_MAX);
}

/** Matches each image's queries one to one with its targets at the least total cost, given the elements of `matchingCosts`. */
export function leastCostPairs(costs: Floats, targets: readonly MatchTargets[]): MatchedPairs[] {
  const width = most(targets);
  const queries = width === 0 ? 0 : costs.length / width / targets.length;
  return targets.map(({ labels: { length } }, b) => {
    const own = new Float64Array(queries * length);
    for (let q = 0, at = b * queries * width; q < queries; q++, at += width)
      for (let t = 0; t < length; t++) own[q * length + t] = finite(costs[at + t]!);
    const { rows, columns } = linearSumAssignment(own, queries, length);
    return { queries: rows, targets: columns };
  });
}

/** Matches the queries of several sets, each with its image's targets. DETR's Hungarian matching with D-FINE's costs. @throws MatcherError */
export async function hungarianMatch(
  sets: readonly Matchable[],
  targets: readonly MatchTargets[],
  options: MatcherOptions,
): Promise<MatchedPairs[][]> {
  const { reading } = scope("matching", () => ({
    reading: readTensors(sets.map((set) => matchingCosts(set, targets, options))),
  }));
  return (await reading).map((costs) => leastCostPairs(costs as Floats, targets));
}
