import type { Tensor, TypedArray } from "@dfine/tensor";
import type { CriterionConfig } from "../config/config.ts";
import type { PredictionSet, TrainingOutputs } from "../model/outputs.ts";
import { leastCostPairs, matchingCosts } from "./matcher.ts";
import type { Floats, MatchedPairs, MatchTargets } from "./matches.ts";

/** What the host knows of the predictions. */
export interface Elements {
  /** Of each set that is matched the elements of `matchingCosts`. */
  readonly costs: ReadonlyMap<PredictionSet, Floats>;
  /** Of other tensors that it needs. */
  readonly of: ReadonlyMap<Tensor, Floats>;
}

/** The targets for a head that ignores classes. */
export const asOneClass = (targets: readonly MatchTargets[]): MatchTargets[] =>
  targets.map((target) => ({ ...target, labels: new Int32Array(target.labels.length) }));

/** The sets that are matched with the targets, each with the targets as it sees them. */
function matchedSets(
  { last, aux, pre, enc, tokens }: TrainingOutputs,
  targets: readonly MatchTargets[],
): (readonly [set: PredictionSet, wanted: readonly MatchTargets[]])[] {
  const alike = asOneClass(targets);
  const sets = [last, ...aux, pre, ...enc, tokens].filter((set) => set !== undefined);
  // A head that ignores classes has one logit, for which every target is class 0.
  return sets.map((set) => [set, set === tokens || set.logits.shape[2] === 1 ? alike : targets]);
}

function otherInputs({ last, dn, weighting }: TrainingOutputs): Tensor[] {
  const points = [last.refPoints, dn?.layers[0]?.refPoints].filter((t) => t !== undefined);
  return [...points, ...(weighting ? [weighting.up, weighting.regScale] : [])];
}

/** The tensors whose elements the host needs for the losses, without gaps: none where there is no target to match. */
export function matchingInputs(
  outputs: TrainingOutputs,
  targets: readonly MatchTargets[],
  { matcher, boxEpsilon }: CriterionConfig,
): Tensor[] {
  if (targets.every(({ labels }) => labels.length === 0)) return [];
  const costs = matchedSets(outputs, targets).map(([set, wanted]) =>
    matchingCosts(set, wanted, { ...matcher, epsilon: boxEpsilon }),
  );
  return [...costs, ...otherInputs(outputs)].map((input) => input.contiguous());
}

/** What `read` says, the elements of `matchingInputs`. */
export function elementsOf(
  outputs: TrainingOutputs,
  targets: readonly MatchTargets[],
  read: readonly TypedArray[],
): Elements {
  if (read.length === 0) return { costs: new Map(), of: new Map() };
  const floats = read as readonly Floats[];
  const costs = matchedSets(outputs, targets).map(([set], i): [PredictionSet, Floats] => [set, floats[i]!]);
  const others = otherInputs(outputs).map((input, i): [Tensor, Floats] => [input, floats[costs.length + i]!]);
  return { costs: new Map(costs), of: new Map(others) };
}

/** Matches a set's queries with the targets, image by image; none of a set that was not read. */
export function matchSet(set: PredictionSet, { costs }: Elements, targets: readonly MatchTargets[]): MatchedPairs[] {
  const read = costs.get(set);
  return read
    ? leastCostPairs(read, targets)
    : targets.map(() => ({ queries: new Int32Array(), targets: new Int32Array() }));
}
