import { goUnion } from "../packages/dfine/src/loss/goUnion.ts";
import { hungarianMatch } from "../packages/dfine/src/loss/matcher.ts";
import type { MatchedPairs, MatchTargets } from "../packages/dfine/src/loss/matches.ts";
import { bbox2distance } from "../packages/dfine/src/model/distance.ts";
import { weightingFunction } from "../packages/dfine/src/model/weighting.ts";
import { absoluteError, unitError } from "./compare.ts";
import type { JsonTensor } from "./pack.ts";
import { toTensor } from "./target.ts";
import type { Unit } from "./unit.ts";

export type IndexPair = readonly [queries: readonly number[], targets: readonly number[]];

export interface JsonTargets {
  readonly labels: readonly number[];
  readonly boxes: JsonTensor;
}

export const toTargets = ({ labels, boxes }: JsonTargets): MatchTargets => ({
  labels: Int32Array.from(labels),
  boxes: Float64Array.from(boxes.data),
});

export const toPairs = ([queries, targets]: IndexPair): MatchedPairs => ({
  queries: Int32Array.from(queries),
  targets: Int32Array.from(targets),
});

/** How many values only one of two lists has. */
function differentValues<T>(a: Iterable<T>, b: Iterable<T>): number {
  const [left, right] = [new Set(a), new Set(b)];
  return [...left].filter((x) => !right.has(x)).length + [...right].filter((x) => !left.has(x)).length;
}

/** Pairs that only one side has. */
export function differentPairs(a: MatchedPairs, b: MatchedPairs): number {
  const keys = ({ queries, targets }: MatchedPairs) => [...queries].map((query, i) => `${query}>${targets[i]}`);
  return differentValues(keys(a), keys(b));
}

interface Weighting {
  readonly reg_max: number;
  readonly up: number;
  readonly reg_scale: number;
}
const parametersOf = ({ reg_max: regMax, up, reg_scale: regScale }: Weighting) => ({ regMax, up, regScale });

const weighting: Unit = {
  file: "units/weighting_function.json",
  on: "host",
  run: (pack) =>
    pack
      .json<(Weighting & { w: number[] })[]>("units/weighting_function.json")
      .map((unit, i) => ({ name: `${i}`, error: unitError(weightingFunction(parametersOf(unit)), unit.w) })),
};

interface DistanceUnit extends Weighting {
  readonly ref_cxcywh: JsonTensor;
  readonly target_cxcywh: JsonTensor;
  readonly index: readonly number[];
  readonly weight_right: readonly number[];
  readonly weight_left: readonly number[];
}

// The file's boxes have nine digits, and a share of a narrow bin moves a thousand times as much: the allowance of float32.
const DISTANCE_ALLOWANCE = 1e-5;

const distance: Unit = {
  file: "units/bbox2distance.json",
  on: "host",
  run: (pack) =>
    pack.json<DistanceUnit[]>("units/bbox2distance.json").flatMap((unit, i) => {
      const [points, targets] = [unit.ref_cxcywh.data, unit.target_cxcywh.data];
      const found = bbox2distance(Float64Array.from(points), Float64Array.from(targets), parametersOf(unit));
      const shares = [...found.weightRight, ...found.weightLeft];
      return [
        { name: `${i} bins`, error: absoluteError(found.bins, unit.index) },
        {
          name: `${i} weights`,
          error: unitError(shares, [...unit.weight_right, ...unit.weight_left]),
          allowed: DISTANCE_ALLOWANCE,
        },
      ];
    }),
};

interface MatcherUnit {
  readonly logits: JsonTensor;
  readonly boxes: JsonTensor;
  readonly targets: readonly JsonTargets[];
  readonly indices: readonly IndexPair[];
}

const matcher: Unit = {
  file: "units/matcher.json",
  on: "tensors",
  run: (pack) =>
    Promise.all(
      pack.json<MatcherUnit[]>("units/matcher.json").map(async (unit, i) => {
        const set = { logits: toTensor(unit.logits), boxes: toTensor(unit.boxes) };
        const options = { classWeight: 2, bboxWeight: 5, giouWeight: 2, alpha: 0.25, gamma: 2 };
        const [found] = await hungarianMatch([set], unit.targets.map(toTargets), options);
        const error = unit.indices.reduce((sum, pair, b) => sum + differentPairs(found![b]!, toPairs(pair)), 0);
        return { name: `${i} pairs`, error, allowed: 0 };
      }),
    ),
};

interface UnionUnit {
  readonly layers: readonly IndexPair[];
  readonly union: IndexPair;
  readonly ambiguous_rows: readonly number[];
}

const union: Unit = {
  file: "units/go_union.json",
  on: "host",
  run: (pack) =>
    pack.json<UnionUnit[]>("units/go_union.json").map((unit, i) => {
      const clear = ({ queries, targets }: MatchedPairs): MatchedPairs => {
        const kept = [...queries.keys()].filter((k) => !unit.ambiguous_rows.includes(queries[k]!));
        return toPairs([kept.map((k) => queries[k]!), kept.map((k) => targets[k]!)]);
      };
      const [found, expected] = [goUnion(unit.layers.map(toPairs)), toPairs(unit.union)];
      const missing = differentValues(found.queries, expected.queries);
      return { name: `${i} pairs`, error: missing + differentPairs(clear(found), clear(expected)), allowed: 0 };
    }),
};

/** Units that need no tensors. */
export const hostUnits: readonly Unit[] = [weighting, distance, matcher, union];
