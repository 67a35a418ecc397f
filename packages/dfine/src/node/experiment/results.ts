import { deviation, mean } from "d3-array";
import type { Complexity } from "../../complexity.ts";
import type { CellOutcome } from "./cells.ts";
import { type Experiment, type ExperimentRow, type PaperNumbers, referencesOf } from "./experiment.ts";

/** What was found of a row; AP as a share of 1. */
export interface RowResult extends Complexity {
  readonly key: string;
  readonly label: string;
  /** Of the deploy form; undefined where it was not measured. */
  readonly latencyMs?: number | undefined;
  /** The mean over seeds; null while nothing is trained. */
  readonly ap: number | null;
  /** The standard deviation over seeds; undefined with less than two. */
  readonly apSpread?: number | undefined;
  /** By seed, those that are finished. */
  readonly aps: readonly number[];
  /** Mean AP of each decoder layer, as if the model ended there. */
  readonly layers: readonly number[];
  readonly firstLoss?: number | undefined;
  readonly lastLoss?: number | undefined;
  readonly secondsPerEpoch?: number | undefined;
  readonly peakBytes?: number | undefined;
  readonly paper: PaperNumbers;
  /** How much better it is than another row. */
  readonly difference?: Difference | undefined;
  readonly note?: string | undefined;
}

/** How two rows differ in AP: the mean over the seeds that both have. */
export interface Difference {
  /** Label of the other row. */
  readonly to: string;
  readonly ap: number | null;
  /** Twice the standard error of the mean; undefined with less than two seeds. */
  readonly noise?: number | undefined;
  readonly paper?: number | undefined;
}

/** What is known of a row without its neighbours. */
export interface RowFacts extends Complexity {
  readonly row: ExperimentRow;
  readonly latencyMs: number | undefined;
  /** By seed. */
  readonly outcomes: ReadonlyMap<number, CellOutcome>;
}

/** Puts together what was found, in the order of the experiment. */
export function rowResults(experiment: Experiment, facts: ReadonlyMap<string, RowFacts>): RowResult[] {
  const references = referencesOf(experiment);
  return [...facts].map(([key, { row, outcomes, parameters, gflops, latencyMs }]) => {
    const found = [...outcomes.values()];
    const aps = found.map(({ ap }) => ap);
    const over = (pick: (outcome: CellOutcome) => number) => mean(found, pick);
    const reference = facts.get(references.get(key) ?? "");
    return {
      ...{ key, label: row.label, parameters, gflops, latencyMs },
      ...{ ap: mean(aps) ?? null, apSpread: deviation(aps), aps },
      layers: (found[0]?.layers ?? []).map((_, layer) => over(({ layers }) => layers[layer]!)!),
      ...{ firstLoss: over((one) => one.firstLoss), lastLoss: over((one) => one.lastLoss) },
      ...{ secondsPerEpoch: over((one) => one.secondsPerEpoch), peakBytes: over((one) => one.peakBytes) },
      paper: row.paper ?? {},
      difference: reference && differenceOf({ row, outcomes }, reference),
      note: row.note,
    };
  });
}

type Compared = Pick<RowFacts, "row" | "outcomes">;

function differenceOf(one: Compared, other: Compared): Difference {
  const pairs = [...one.outcomes].flatMap(([seed, { ap }]) => {
    const same = other.outcomes.get(seed);
    return same ? [ap - same.ap] : [];
  });
  const spread = deviation(pairs);
  const [ours, theirs] = [one.row.paper?.ap, other.row.paper?.ap];
  return {
    to: other.row.label,
    ap: mean(pairs) ?? null,
    noise: spread === undefined ? undefined : (2 * spread) / Math.sqrt(pairs.length),
    paper: ours === undefined || theirs === undefined ? undefined : ours - theirs,
  };
}
