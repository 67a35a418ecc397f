import { backward, readTensors, type Tensor, type TypedArray } from "@dfine/tensor";
import type { DFinePresetName } from "../packages/dfine/src/config/config.ts";
import { type CriterionResult, criterion } from "../packages/dfine/src/loss/criterion.ts";
import type { MatchedPairs } from "../packages/dfine/src/loss/matches.ts";
import type { DFineModel } from "../packages/dfine/src/model/dfineModel.ts";
import type { TrainingOutputs } from "../packages/dfine/src/model/outputs.ts";
import { median, normError, relativeError } from "./compare.ts";
import { differentPairs, toPairs } from "./hostUnits.ts";
import { configOf, packImages, packTargets, proceduralModel, trainingForward, weightingOf } from "./model.ts";
import type { Pack, PackTensors } from "./pack.ts";
import { dfineFill } from "./procedural.ts";
import type { Report } from "./report.ts";
import { onTarget, type Target } from "./target.ts";

interface TrainPack {
  readonly images: readonly string[];
  readonly size: number;
  readonly salt: string;
  readonly num_denoising_queries: number;
  readonly dn_groups: number;
  readonly losses: Readonly<Record<string, number>>;
  readonly total: number;
  readonly allowed: {
    readonly loss_relative: number;
    readonly total_relative: number;
    readonly grad_relative_floor: number;
    readonly grad_relative_median: number;
    readonly float64_relative: number;
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
const BUFFER_ALLOWANCE = 1e-4;
/** Gradients with a smaller share of the total norm are rounding noise. */
const NORM_SHARE = 1e-4;

/** What is being checked, with the names and allowances of one pack. */
interface Step {
  readonly meta: TrainPack;
  readonly tensors: PackTensors;
  readonly isExact: boolean;
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
async function readGradients(model: DFineModel): Promise<Map<string, TypedArray | undefined>> {
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

/** Matches and unions: pairs of (output, image) that differ, and unions that differ although all their matches agree. */
function checkMatches({ meta, tensors, check }: Step, { matches, union }: CriterionResult): void {
  const read = (name: string): MatchedPairs => {
    const pairs = [...tensors.integers(name)];
    return toPairs([pairs.slice(0, pairs.length / 2), pairs.slice(pairs.length / 2)]);
  };
  let different = 0;
  let unions = 0;
  for (const b of meta.images.keys()) {
    const wrong = [...matches].filter(([name, pairs]) => differentPairs(pairs[b]!, read(`match.${name}.${b}`)) > 0);
    different += wrong.length;
    if (wrong.length === 0 && differentPairs(union![b]!, read(`go.${b}`)) > 0) unions++;
  }
  check("matches different", different, meta.allowed.match_pairs_different);
  check("GO unions different", unions, 0);
}

/** Samples of what the model gave, in standard deviations of the whole tensor. */
async function checkOutputs({ meta, tensors, check }: Step, outputs: TrainingOutputs): Promise<void> {
  const { last, enc, dn } = outputs;
  const sources = new Map<string, Tensor | undefined>([
    ["out.pred_logits", last.logits],
    ["out.pred_boxes", last.boxes],
    ["out.pred_corners", last.corners],
    ["out.ref_points", last.refPoints],
    ["enc.logits", enc[0]?.logits],
    ["enc.boxes", enc[0]?.boxes],
    ...(dn?.layers ?? []).flatMap((set, i): [string, Tensor][] => [
      [`dn.${i}.logits`, set.logits],
      [`dn.${i}.boxes`, set.boxes],
    ]),
  ]);
  let worst = 0;
  for (const name of tensors.sampled("out.", "enc.", "dn.")) {
    const data = await sources.get(name)?.data();
    const { index, values, std } = tensors.samples(name);
    const errors = Array.from(index, (flat, i) => Math.abs((data?.[flat] ?? Number.NaN) - values[i]!) / std);
    worst = Math.max(worst, ...errors);
  }
  check("samples of outputs", worst, meta.allowed.float64_relative);
}

async function checkBuffers({ meta, tensors, isExact, check }: Step, model: DFineModel): Promise<void> {
  const state = model.stateDict();
  let worst = 0;
  for (const name of tensors.sampled("buffer_after.")) {
    const data = await state.get(name.replace("buffer_after.", ""))?.data();
    const { index, values } = tensors.samples(name);
    const largest = Math.max(...Array.from(values, Math.abs));
    for (const [i, flat] of index.entries()) {
      const error = Math.abs((data?.[flat] ?? Number.NaN) - values[i]!) / largest;
      worst = Math.max(worst, error);
    }
  }
  check("running statistics", worst, isExact ? meta.allowed.float64_relative : BUFFER_ALLOWANCE);
}

async function checkGradients({ meta, tensors, isExact, check }: Step, model: DFineModel): Promise<void> {
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
    if ((!isExact && gradient.length < 2) || norm <= NORM_SHARE * totalNorm) continue;
    const { index, values } = tensors.samples(`grad.${name}`);
    const ratio = normError(
      Array.from(index, (flat) => gradient[flat]!),
      values,
    );
    ratios.push(ratio);
    if (!(ratio <= Math.max(4 * (torchErrors[name] ?? 0), allowed.grad_relative_floor))) outliers++;
  }
  if (isExact) {
    check("gradient norms", normErrors, allowed.float64_relative);
    check("samples of gradients", Math.max(...ratios), allowed.float64_relative);
  } else {
    check("gradients beyond their allowance", outliers, allowed.grad_outliers);
    check("gradients, median", median(ratios), allowed.grad_relative_median);
  }
}

/** Checks a training forward and backward pass; on a float64 target against the tighter allowance. */
export async function checkTrain(
  pack: Pack,
  report: Report,
  options: { preset: DFinePresetName; target: Target },
): Promise<void> {
  const { preset, target } = options;
  const path = `train/${preset}`;
  if (!pack.has(`${path}.json`)) return;
  const meta = pack.json<TrainPack>(`${path}.json`);
  const tensors = pack.tensors(`${path}.safetensors`);
  const isExact = target.backend.floatBits === 64;
  const check: Step["check"] = (name, error, allowed) =>
    report.compare(`${path} ${name} (${target.label})`, error, allowed);
  const step: Step = { meta, tensors, isExact, check };
  const { allowed } = meta;
  await onTarget(target, async (flow) => {
    using model = proceduralModel(preset, dfineFill({ salt: meta.salt, gains: [1, 1, 1], train: true }));
    const targets = packTargets(tensors, meta.images.length);
    const images = await packImages(pack, meta.images, meta.size);
    const config = configOf(preset);
    const outputs = flow.run(() => trainingForward(model, images, { targets, salt: meta.salt }));
    const { dn } = outputs;
    check("denoising queries", Math.abs((dn?.layers[0]?.boxes.shape[1] ?? 0) - meta.num_denoising_queries), 0);
    check("denoising groups", Math.abs((dn?.groups ?? 0) - meta.dn_groups), 0);
    if (isExact) await checkOutputs(step, outputs);
    await checkBuffers(step, model);
    const result = await criterion(outputs, targets, {
      config: config.criterion,
      weighting: weightingOf(config.model.decoder),
      scope: flow,
    });
    const [values, total] = await readTensors([result.values, result.total]);
    const lossAllowance = isExact ? allowed.float64_relative : allowed.loss_relative;
    check("losses", lossError(result.names, values!, meta.losses), lossAllowance);
    check(
      "total",
      relativeError(total!, [meta.total], LOSS_FLOOR),
      isExact ? allowed.float64_relative : allowed.total_relative,
    );
    checkMatches(step, result);
    flow.run(() => backward(result.total));
    await checkGradients(step, model);
  });
}
