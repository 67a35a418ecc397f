import { indexSelect, noGrad, type Tensor, type TypedArray, tensor } from "@dfine/tensor";
import { memo } from "@dfine/tensor/kernel";
import type { CriterionConfig } from "../config/config.ts";
import type { PredictionSet, TrainingOutputs } from "../model/outputs.ts";
import { type HostPrediction, hungarianMatchBatch, MatcherError } from "./matcher.ts";
import type { Floats, MatchedPairs, MatchTargets } from "./matches.ts";

/** What the host knows of the predictions: of each set that is matched boxes, and logits [B, Q, T] of the labels that occur. */
export interface Elements {
  readonly sets: ReadonlyMap<PredictionSet, HostPrediction>;
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

/** Each image's labels without repetition, and the largest number of them. */
function distinctLabels(targets: readonly MatchTargets[]): { labels: number[][]; most: number } {
  const labels = targets.map((target) => [...new Set(target.labels)]);
  return { labels, most: Math.max(...labels.map(({ length }) => length)) };
}

/** Where in logits [B, Q, C] those of each image's labels are, [B, Q, T]. @throws MatcherError for a label that is no class */
function placesOf(targets: readonly MatchTargets[], [, queries, classes]: readonly number[]): Int32Array {
  const { labels, most } = distinctLabels(targets);
  const places = new Int32Array(targets.length * queries! * most);
  let next = 0;
  for (const [b, own] of labels.entries()) {
    const bad = own.find((label) => label < 0 || label >= classes!);
    if (bad !== undefined)
      throw new MatcherError(`criterion: label ${bad} is none of ${classes} classes; number labels from 0`);
    for (let q = 0; q < queries!; q++)
      for (let t = 0; t < most; t++) places[next++] = (b * queries! + q) * classes! + (own[t] ?? 0);
  }
  return places;
}

/** The tensors whose elements the host needs for the losses: none where there is no target to match. */
export function matchingInputs(outputs: TrainingOutputs, targets: readonly MatchTargets[]): Tensor[] {
  if (targets.every(({ labels }) => labels.length === 0)) return [];
  const indices = new Map<string, Tensor>();
  const ofLabels = ({ logits }: PredictionSet, wanted: readonly MatchTargets[]): Tensor => {
    const index = memo(indices, `${wanted === targets} ${logits.shape}`, () => {
      const places = placesOf(wanted, logits.shape);
      return tensor(places, [places.length], { backend: logits.backend });
    });
    return indexSelect(logits.reshape([-1, 1]), index);
  };
  const sets = noGrad(() =>
    matchedSets(outputs, targets).flatMap(([set, wanted]) => [ofLabels(set, wanted), set.boxes]),
  );
  return [...sets, ...otherInputs(outputs)];
}

/** What `read` says, the elements of `matchingInputs`. */
export function elementsOf(
  outputs: TrainingOutputs,
  targets: readonly MatchTargets[],
  read: readonly TypedArray[],
): Elements {
  if (read.length === 0) return { sets: new Map(), of: new Map() };
  const floats = read as readonly Floats[];
  const sets = matchedSets(outputs, targets).map(([set], i): [PredictionSet, HostPrediction] => [
    set,
    { logits: floats[2 * i]!, boxes: floats[2 * i + 1]! },
  ]);
  const others = otherInputs(outputs).map((input, i): [Tensor, Floats] => [input, floats[2 * sets.length + i]!]);
  return { sets: new Map(sets), of: new Map(others) };
}

/** Matches a set's queries with the targets, image by image; none of a set that was not read. */
export function matchSet(
  set: PredictionSet,
  { sets }: Elements,
  { targets, config }: { targets: readonly MatchTargets[]; config: CriterionConfig },
): MatchedPairs[] {
  const prediction = sets.get(set);
  if (!prediction) return targets.map(() => ({ queries: new Int32Array(), targets: new Int32Array() }));
  const seen = set.logits.shape[2] === 1 ? asOneClass(targets) : targets;
  const { labels } = distinctLabels(seen);
  const wanted = seen.map((target, b) => ({
    ...target,
    labels: target.labels.map((label) => labels[b]!.indexOf(label)),
  }));
  return hungarianMatchBatch(prediction, wanted, { ...config.matcher, epsilon: config.boxEpsilon });
}
