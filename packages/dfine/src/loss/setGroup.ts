import { stack, type Tensor } from "@dfine/tensor";
import { type BoxPairs, matchedIou } from "./boxOverlap.ts";
import { denseTargets } from "./denseTargets.ts";
import type { QueryCounts } from "./distillation.ts";
import type { Floats, MatchedPairs, MatchTargets } from "./matches.ts";
import type { NamedSet } from "./predictionSets.ts";

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

/** Positions of the sets that pass a test. */
export const indicesWhere = (group: SetGroup, test: (set: NamedSet["set"], named: NamedSet) => boolean): number[] =>
  group.sets.flatMap((named, i) => (test(named.set, named) ? [i] : []));

/** Matched pairs over all images. */
export const pairCount = (matches: readonly MatchedPairs[]): number =>
  matches.reduce((sum, { queries }) => sum + queries.length, 0);
