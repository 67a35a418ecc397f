import {
  concat,
  defineMap,
  noGrad,
  readTensors,
  type Scope,
  type Stretch,
  scope,
  sum,
  type Tensor,
  type TypedArray,
  tensor,
} from "@dfine/tensor";
import type { CriterionConfig } from "../config/config.ts";
import type { PredictionSet, TrainingOutputs } from "../model/outputs.ts";
import type { WeightingParameters } from "../model/weighting.ts";
import { goUnionBatch } from "./goUnion.ts";
import { type CriterionOptions, lossTerms } from "./lossTerms.ts";
import type { MatchedPairs, MatchTargets } from "./matches.ts";
import { asOneClass, type Elements, elementsOf, matchingInputs, matchSet } from "./matching.ts";
import { denoisingSets, type NamedSet, ordinarySets, tokenSets } from "./predictionSets.ts";
import { aimsOf, pairCount, type SetGroup, type Term } from "./setGroup.ts";

/** The losses of one batch. */
export interface CriterionResult {
  /** Sum of all losses, NaN as 0 and infinity as the largest float32, one element, with gradient. */
  readonly total: Tensor;
  /** Weighted losses [N] without gradient, NaN and infinity as they are, in the order of `names`: one read gets all of them. */
  readonly values: Tensor;
  readonly names: readonly string[];
  /** Views of `values` by official name, in D-FINE's order. */
  readonly losses: Map<string, Tensor>;
  /** Matches per image of every set that is matched, by its name: last, aux_0 …, pre, enc_0. */
  readonly matches: ReadonlyMap<string, readonly MatchedPairs[]>;
  /** Matches per image for the box losses where the layers' matches are united. */
  readonly union: readonly MatchedPairs[] | undefined;
}

const LARGEST = 3.4028234663852886e38;

const weightedLoss = defineMap("weightedLoss", (value, factor) => {
  const loss = value.mul(factor);
  const limit = loss.lt(0).select(-LARGEST, LARGEST);
  return loss.isFinite().select(loss, loss.isNaN().select(0, limit));
});

/**
 * All losses of a training step, weighted: classification on each set's own Hungarian match, boxes and edges on the union
 * of all matches or on the own ones, denoising on its given targets, all tokens of the encoder on the boxes alone, as one class.
 * What the matching needs of the predictions is read back once; the results belong to `scope`, without one to nobody. D-FINE's and DETR's.
 */
export async function criterion(
  outputs: TrainingOutputs,
  targets: readonly MatchTargets[],
  options: CriterionOptions & { readonly scope?: Scope },
): Promise<CriterionResult> {
  const own = options.scope ?? { run: <T>(body: Stretch<T>): T => body() };
  const { reading } = own.run(() =>
    scope("matching", () => ({ reading: readTensors(matchingInputs(outputs, targets, options.config)) })),
  );
  const read = await reading;
  return own.run(() => criterionLosses(outputs, targets, { ...options, read }));
}

/** `criterion` once the elements of `matchingInputs` are `read`. */
export function criterionLosses(
  outputs: TrainingOutputs,
  targets: readonly MatchTargets[],
  options: CriterionOptions & { readonly read: readonly TypedArray[] },
): CriterionResult {
  return scope("criterion", () => {
    const { config } = options;
    const [ordinary, tokens] = [ordinarySets(outputs, config), tokenSets(outputs)];
    const read = elementsOf(outputs, targets, options.read);
    const matches = ordinary.map(({ set }) => matchSet(set, read, targets));
    const tokenMatches = tokens.map(({ set }) => matchSet(set, read, targets));
    const union = config.matching === "union" ? goUnionBatch(matches) : undefined;
    const groups = groupsOf(outputs, targets, { matches, tokenMatches, union, read, config });
    const matched = [...matches, ...tokenMatches];
    return {
      ...evaluate(groups, { ...options, weighting: weightingNow(outputs, read, options) }),
      matches: new Map([...ordinary, ...tokens].map(({ name }, i) => [name, matched[i]!])),
      union,
    };
  });
}

/** W(n) as it stands: learned numbers in place of those of the configuration. */
function weightingNow({ weighting }: TrainingOutputs, read: Elements, options: CriterionOptions): WeightingParameters {
  const [up, regScale] = [weighting?.up, weighting?.regScale].map((one) => one && read.of.get(one)?.[0]);
  return up === undefined || regScale === undefined ? options.weighting : { ...options.weighting, up, regScale };
}

function groupsOf(
  outputs: TrainingOutputs,
  targets: readonly MatchTargets[],
  known: Record<"matches" | "tokenMatches", SetGroup["boxMatches"]> & {
    readonly union: readonly MatchedPairs[] | undefined;
    readonly read: Elements;
    readonly config: CriterionConfig;
  },
): SetGroup[] {
  const { matches, tokenMatches, union, read, config } = known;
  const { last, dn } = outputs;
  const numBoxes = Math.max(
    1,
    targets.reduce((total, { labels }) => total + labels.length, 0),
  );
  const boxMatches = union ? [union] : matches;
  const pairs = pairCount(boxMatches[0]!);
  const queries = last.boxes.shape[0]! * last.boxes.shape[1]!;
  const shared = { targets, ordinary: { matched: pairs, queries }, isPadded: false };
  const pointsOf = ({ refPoints }: PredictionSet) => (refPoints && read.of.get(refPoints)) ?? new Float64Array();
  const ordinary: SetGroup = {
    ...shared,
    sets: ordinarySets(outputs, config),
    classMatches: matches,
    boxMatches,
    normalizers: { classes: numBoxes, boxes: union ? Math.max(1, pairs) : numBoxes },
    refPoints: pointsOf(last),
  };
  const tokens: SetGroup = {
    ...shared,
    sets: tokenSets(outputs),
    targets: asOneClass(targets),
    ...{ classMatches: tokenMatches, boxMatches: tokenMatches },
    normalizers: { classes: numBoxes, boxes: numBoxes },
    refPoints: new Float64Array(),
  };
  const matched = tokens.sets.length > 0 ? [ordinary, tokens] : [ordinary];
  if (!dn?.layers[0]) return matched;
  const given = [dn.positives];
  const dnBoxes = Math.max(1, numBoxes * dn.groups);
  const denoising: SetGroup = {
    ...shared,
    isPadded: !dn.negatives,
    sets: denoisingSets(outputs, config),
    ...{ classMatches: given, boxMatches: given },
    normalizers: { classes: dnBoxes, boxes: dnBoxes },
    refPoints: pointsOf(dn.layers[0]),
  };
  return [...matched, denoising];
}

function evaluate(
  groups: readonly SetGroup[],
  options: CriterionOptions,
): Pick<CriterionResult, "total" | "values" | "names" | "losses"> {
  const terms = lossTerms(options);
  const nameOf = (term: Term, { lossName }: NamedSet) => lossName(term.name);
  const names: string[] = [];
  const factors: number[] = [];
  const pieces: Tensor[] = [];
  for (const group of groups) {
    const aims = aimsOf(group, options.config.boxEpsilon);
    for (const term of terms) {
      const normalizer = term.normalizer === "none" ? 1 : group.normalizers[term.normalizer];
      for (const { indices, values } of term.run(group, aims)) {
        pieces.push(values);
        names.push(...indices.map((i) => nameOf(term, group.sets[i]!)));
        factors.push(...indices.map(() => term.weight / normalizer));
      }
    }
  }
  const raw = concat(pieces);
  const factor = tensor(Float64Array.from(factors), [factors.length], { backend: raw.backend });
  const total = sum(weightedLoss(raw, factor));
  const values = noGrad(() => raw.mul(factor));
  const view = (i: number): Tensor => values.slice([{ start: i, end: i + 1 }]).squeeze(0);
  const positions = new Map(names.map((name, i) => [name, i]));
  const official = groups.flatMap(({ sets }) => sets.flatMap((set) => terms.map((term) => nameOf(term, set))));
  const present = official.filter((name) => positions.has(name));
  return { total, values, names, losses: new Map(present.map((name) => [name, view(positions.get(name)!)])) };
}
