import { readTensors, type TypedArray } from "@dfine/tensor";
import type { CriterionResult } from "../packages/dfine/src/loss/criterion.ts";
import type { MatchedPairs } from "../packages/dfine/src/loss/matches.ts";
import type { Detector } from "../packages/dfine/src/model/detector.ts";
import { median, normError, relativeError } from "./compare.ts";
import { differentPairs, toPairs } from "./hostUnits.ts";
import type { PackTensors } from "./pack.ts";

/** What training packs say of losses and gradients. */
export interface TrainFacts {
  readonly images: readonly string[];
  readonly salt: string;
  readonly losses: Readonly<Record<string, number>>;
  readonly total: number;
  readonly allowed: {
    readonly loss_relative: number;
    readonly total_relative: number;
    readonly grad_relative_floor: number;
    readonly grad_relative_median: number;
    readonly match_pairs_different: number;
    readonly grad_outliers: number;
  };
  /** Null: the parameter has no gradient. */
  readonly grad_norm: Readonly<Record<string, number | null>>;
  readonly torch_f32_grad_rel_error: Readonly<Record<string, number>>;
  readonly grad_norm_total: number;
}

/** Losses below it are compared as if they were as large. */
const LOSS_FLOOR = 1e-3;
/** Gradients with a smaller share of the total norm are rounding noise. */
const NORM_SHARE = 1e-4;

/** What is being checked, with the names and allowances of one pack. */
export interface Step<Facts extends TrainFacts = TrainFacts> {
  readonly meta: Facts;
  readonly tensors: PackTensors;
  /** The allowance of a run in float64; undefined for one in float32. */
  readonly exact: number | undefined;
  readonly check: (name: string, error: number, allowed: number) => void;
}

/** Relative errors of losses by name; a loss that only one side has counts as infinite. */
export function lossError(
  names: readonly string[],
  values: ArrayLike<number>,
  expected: Readonly<Record<string, number>>,
): number {
  const ours = new Map(names.map((name, i) => [name, values[i]!]));
  if (ours.size !== Object.keys(expected).length) return Number.POSITIVE_INFINITY;
  const found = Object.keys(expected).map((name) => ours.get(name) ?? Number.NaN);
  return relativeError(found, Object.values(expected), LOSS_FLOOR);
}

/** Gradients read back by parameter; undefined where there is none. */
async function readGradients(model: Detector): Promise<Map<string, TypedArray | undefined>> {
  const parameters = [...model.namedParameters()];
  const present = parameters.filter(([, parameter]) => parameter.grad);
  const arrays = await readTensors(present.map(([, parameter]) => parameter.grad!));
  const read = new Map(present.map(([name], i) => [name, arrays[i]!]));
  return new Map(parameters.map(([name]) => [name, read.get(name)]));
}

const l2 = (values: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
  return Math.sqrt(sum);
};

/** Losses by name, and their sum. */
export async function checkLosses({ meta, exact, check }: Step, result: CriterionResult): Promise<void> {
  const { allowed } = meta;
  const [values, total] = await readTensors([result.values, result.total]);
  check("losses", lossError(result.names, values!, meta.losses), exact ?? allowed.loss_relative);
  check("total", relativeError(total!, [meta.total], LOSS_FLOOR), exact ?? allowed.total_relative);
}

/**
 * Matches and unions, which the pack calls `go`: pairs of (output, image) that differ, and unions that differ although all
 * their matches agree.
 */
export function checkMatches({ meta, tensors, check }: Step, { matches, union }: CriterionResult, go: string): void {
  const read = (name: string): MatchedPairs => {
    const pairs = [...tensors.integers(name)];
    return toPairs([pairs.slice(0, pairs.length / 2), pairs.slice(pairs.length / 2)]);
  };
  let different = 0;
  let unions = 0;
  const hasUnion = tensors.has(`${go}.0`);
  for (const b of meta.images.keys()) {
    const wrong = [...matches].filter(([name, pairs]) => differentPairs(pairs[b]!, read(`match.${name}.${b}`)) > 0);
    different += wrong.length;
    if (wrong.length === 0 && hasUnion && union && differentPairs(union[b]!, read(`${go}.${b}`)) > 0) unions++;
  }
  check("matches different", different, meta.allowed.match_pairs_different);
  if (hasUnion || union) check("GO unions different", hasUnion && union ? unions : Number.POSITIVE_INFINITY, 0);
}

export async function checkGradients({ meta, tensors, exact, check }: Step, model: Detector): Promise<void> {
  const { allowed, grad_norm: norms, torch_f32_grad_rel_error: torchErrors, grad_norm_total: totalNorm } = meta;
  const gradients = await readGradients(model);
  const present = [...gradients].filter(([name, gradient]) => (gradient !== undefined) !== (norms[name] != null));
  const unknown = Object.keys(norms).filter((name) => !gradients.has(name));
  check("gradients there or not", present.length + unknown.length, 0);
  const ratios: number[] = [];
  let outliers = 0;
  let normErrors = 0;
  for (const [name, gradient] of gradients) {
    const norm = norms[name];
    if (!gradient || norm == null) continue;
    normErrors = Math.max(normErrors, Math.abs(l2(gradient) - norm) / Math.max(norm, NORM_SHARE * totalNorm));
    if ((exact === undefined && gradient.length < 2) || norm <= NORM_SHARE * totalNorm) continue;
    const { index, values } = tensors.samples(`grad.${name}`);
    const ratio = normError(
      Array.from(index, (flat) => gradient[flat]!),
      values,
    );
    ratios.push(ratio);
    if (!(ratio <= Math.max(4 * (torchErrors[name] ?? 0), allowed.grad_relative_floor))) outliers++;
  }
  if (exact !== undefined) {
    check("gradient norms", normErrors, exact);
    check("samples of gradients", Math.max(...ratios), exact);
  } else {
    check("gradients beyond their allowance", outliers, allowed.grad_outliers);
    check("gradients, median", median(ratios), allowed.grad_relative_median);
  }
}
