import { minimum, stack, type Tensor } from "@dfine/tensor";
import type { CriterionConfig } from "../config/config.ts";
import type { WeightingParameters } from "../model/weighting.ts";
import { type BoxPairs, giouLoss, l1Loss, matchedIou } from "./boxOverlap.ts";
import { denseEdgeTargets, denseTargets } from "./denseTargets.ts";
import { distillationBalance, distillationLoss, type QueryCounts } from "./distillation.ts";
import { fineGrainedLoss } from "./fineGrained.ts";
import { focalLoss } from "./focal.ts";
import type { Floats, MatchedPairs, MatchTargets } from "./matches.ts";
import { stackShared, takeSets } from "./perSet.ts";
import { type NamedSet, SET_NAMES } from "./predictionSets.ts";
import { type ClassPairs, varifocalLoss } from "./varifocal.ts";

/** Prediction sets of one shape with their matches. */
export interface SetGroup {
  readonly sets: readonly NamedSet[];
  /** Matches for the classification, per set and image. */
  readonly classMatches: readonly (readonly MatchedPairs[])[];
  /** Matches for everything else; a single entry holds for all sets. */
  readonly boxMatches: readonly (readonly MatchedPairs[])[];
  readonly targets: readonly MatchTargets[];
  /** Divisors of summed losses. */
  readonly normalizers: { readonly classes: number; readonly boxes: number };
  /** Values of the reference boxes [B, Q, 4] of the sets with distributions. */
  readonly refPoints: Floats;
  readonly ordinary: QueryCounts;
  /** Whether queries without a target are padding, whose classes are not judged. */
  readonly isPadded: boolean;
}

/** What the losses need besides predictions and targets. */
export interface CriterionOptions {
  readonly config: CriterionConfig;
  /** W(n) of the model that made the predictions. */
  readonly weighting: WeightingParameters;
}

/** The boxes of a group on the device, what they aim at, and their IoU with that [S, B, Q], no gradient. */
interface Aim extends BoxPairs {
  readonly ious: Tensor;
}
/** The aims of classes and of everything else. */
type Aims = Readonly<Record<"classes" | "boxes", Aim>>;

export interface Term {
  readonly name: string;
  readonly weight: number;
  readonly normalizer: "classes" | "boxes" | "none";
  /** Its values, not weighted, for the sets at `indices`. */
  run(group: SetGroup, aims: Aims): { readonly indices: readonly number[]; readonly values: Tensor }[];
}

export function aimsOf(group: SetGroup, epsilon: number): Aims {
  const boxes = stack(group.sets.map(({ set }) => set.boxes));
  const aimOf = (matches: SetGroup["boxMatches"]): Aim => {
    const pairs = { boxes, epsilon, ...denseTargets(matches, group.targets, boxes) };
    return { ...pairs, ious: matchedIou(pairs) };
  };
  const classes = aimOf(group.classMatches);
  return { classes, boxes: group.classMatches === group.boxMatches ? classes : aimOf(group.boxMatches) };
}

const indicesWhere = (group: SetGroup, test: (set: NamedSet["set"], named: NamedSet) => boolean): number[] =>
  group.sets.flatMap((named, i) => (test(named.set, named) ? [i] : []));

function onClasses(loss: (pairs: ClassPairs) => Tensor, { alpha, gamma }: CriterionConfig): Term["run"] {
  return (group, { classes: aim }) => {
    const { isPadded } = group;
    const counts = new Set(group.sets.map(({ set }) => set.logits.shape[2]!));
    return [...counts].flatMap((classes) => {
      const indices = indicesWhere(group, (set, named) => named.classes && set.logits.shape[2] === classes);
      if (indices.length === 0) return [];
      const logits = stack(indices.map((i) => group.sets[i]!.set.logits));
      const given = takeSets(aim.labels, indices);
      // A head that ignores classes has one logit, for which every target is class 0.
      const labels = classes === 1 ? minimum(given, 0) : given;
      const ious = takeSets(aim.ious, indices);
      return [{ indices, values: loss({ logits, labels, ious, alpha, gamma, isPadded }) }];
    });
  };
}

const onBoxes =
  (loss: (pairs: BoxPairs) => Tensor): Term["run"] =>
  ({ sets }, { boxes }) => [{ indices: [...sets.keys()], values: loss(boxes) }];

function fineGrained(weighting: WeightingParameters): Term["run"] {
  return (group, { boxes }) => {
    const indices = indicesWhere(group, (set) => set.corners !== undefined);
    if (indices.length === 0) return [];
    const corners = stack(indices.map((i) => group.sets[i]!.set.corners!));
    const { targets, refPoints, boxMatches } = group;
    const matches = boxMatches.length === 1 ? boxMatches : indices.map((i) => boxMatches[i]!);
    const edges = denseEdgeTargets(matches, targets, { refPoints, weighting, like: corners });
    return [{ indices, values: fineGrainedLoss(corners, edges, takeSets(boxes.ious, indices)) }];
  };
}

/** Matched pairs over all images. */
export const pairCount = (matches: readonly MatchedPairs[]): number =>
  matches.reduce((sum, { queries }) => sum + queries.length, 0);

function distillation(temperature: number): Term["run"] {
  return (group, { boxes }) => {
    const indices = indicesWhere(group, (set) => set.corners !== undefined && set.teacher !== undefined);
    if (indices.length === 0) return [];
    const sets = indices.map((i) => group.sets[i]!.set);
    const student = stack(sets.map((set) => set.corners!));
    const teacher = {
      corners: stackShared(sets.map((set) => set.teacher!.corners)),
      logits: stackShared(sets.map((set) => set.teacher!.logits)),
    };
    const [, images, queries] = student.shape as [number, number, number, number];
    // Every layer matches equally many queries, so one balance holds for all sets.
    const own = { matched: pairCount(group.boxMatches[0]!), queries: images * queries };
    const balance = distillationBalance(own, group.ordinary, images);
    const [ious, labels] = [takeSets(boxes.ious, indices), takeSets(boxes.labels, indices)];
    return [{ indices, values: distillationLoss({ student, teacher, ious, labels, balance, temperature }) }];
  };
}

/** The terms of a configuration, in D-FINE's order; terms of weight 0 are left out. Each sums over matched queries. */
export function lossTerms({ config, weighting }: CriterionOptions): Term[] {
  const { weights } = config;
  const { focal } = SET_NAMES[config.names];
  const terms: Term[] = [
    { name: "vfl", weight: weights.vfl, normalizer: "classes", run: onClasses(varifocalLoss, config) },
    { name: focal, weight: weights.focal, normalizer: "classes", run: onClasses(focalLoss, config) },
    { name: "bbox", weight: weights.bbox, normalizer: "boxes", run: onBoxes(l1Loss) },
    { name: "giou", weight: weights.giou, normalizer: "boxes", run: onBoxes(giouLoss) },
    { name: "fgl", weight: weights.fgl, normalizer: "boxes", run: fineGrained(weighting) },
    ...config.distillation.map(
      ({ kind, weight, temperature }): Term => ({
        name: kind,
        weight,
        normalizer: "none",
        run: DISTILLATION[kind](temperature),
      }),
    ),
  ];
  return terms.filter(({ weight }) => weight > 0);
}

const DISTILLATION: Record<CriterionConfig["distillation"][number]["kind"], (temperature: number) => Term["run"]> = {
  ddf: distillation,
};
