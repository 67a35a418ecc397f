import { AdamW, clipCoefficient, Ema, globalNorm, linearWarmup, type OptimizerGroup } from "@dfine/nn";
import { backward, readTensors, Scope, type Tensor, type TypedArray } from "@dfine/tensor";
import type { DFinePresetName } from "../packages/dfine/src/config/config.ts";
import { groupParameters, groupRate } from "../packages/dfine/src/config/parameterGroups.ts";
import { criterion } from "../packages/dfine/src/loss/criterion.ts";
import type { MatchTargets } from "../packages/dfine/src/loss/matches.ts";
import type { DFineModel } from "../packages/dfine/src/model/dfineModel.ts";
import { relativeError } from "./compare.ts";
import { configOf, packImages, packTargets, proceduralModel, trainingForward, weightingOf } from "./model.ts";
import type { Pack, PackTensors } from "./pack.ts";
import { dfineFill, sampleIndices } from "./procedural.ts";
import type { Report } from "./report.ts";
import { onTarget, type Target } from "./target.ts";
import { lossError } from "./trainChecks.ts";

interface OptimPack {
  readonly images: readonly string[];
  readonly size: number;
  readonly salt: string;
  readonly allowed: {
    readonly float32_steps: number;
    readonly loss_relative: number;
    readonly grad_norm_relative: number;
    readonly param_absolute: number;
    readonly param_outliers: number;
    readonly param_absolute_outlier: number;
    readonly float64_relative: number;
  };
  readonly groups: readonly {
    readonly initial_lr: number;
    readonly weight_decay: number;
    readonly betas: readonly [number, number];
    readonly names: readonly string[];
  }[];
  readonly warmup_duration: number;
  readonly clip_max_norm: number;
  readonly ema: { readonly decay: number; readonly warmups: number };
  readonly steps: readonly {
    readonly loss: number;
    readonly grad_norm: number;
    readonly lr: readonly number[];
    readonly losses: Readonly<Record<string, number>>;
  }[];
}

/** Numbers below it are compared as if they were as large. */
const FLOOR = 1e-3;

/** Names that our patterns put into another group than the pack's optimiser, or whose group has other settings. */
function groupDifferences(preset: DFinePresetName, model: DFineModel, expected: OptimPack["groups"]): number {
  const { optimizer } = configOf(preset).train;
  const trainable = [...model.namedParameters()].filter(([, { requiresGrad }]) => requiresGrad).map(([name]) => name);
  const setting = (rate: number, decay: number) => `${rate} ${decay}`;
  const ours = new Map(
    groupParameters(trainable, optimizer.groups).flatMap((group) => {
      const decay = group.weightDecay === "inherit" ? optimizer.weightDecay : group.weightDecay;
      return group.names.map((name) => [name, setting(groupRate(group, optimizer), decay)] as const);
    }),
  );
  const theirs = expected.flatMap((group) =>
    group.names.map((name) => [name, setting(group.initial_lr, group.weight_decay)] as const),
  );
  return theirs.filter(([name, text]) => ours.get(name) !== text).length + Math.abs(ours.size - theirs.length);
}

function optimizerOf(model: DFineModel, { groups }: OptimPack): AdamW {
  const parameters = model.namedParameters();
  const list = groups.map(
    ({ names, initial_lr: learningRate, weight_decay: weightDecay }, i): OptimizerGroup => ({
      name: `${i}`,
      parameters: new Map(names.map((name) => [name, parameters.get(name)!])),
      learningRate,
      weightDecay,
    }),
  );
  return new AdamW(list, { betas: groups[0]!.betas });
}

/** Our values at the pack's sample positions, and the pack's, over all tensors under `prefix`. */
async function samplesOf(
  source: ReadonlyMap<string, Tensor>,
  tensors: PackTensors,
  prefix: string,
): Promise<{ ours: number[]; theirs: number[] }> {
  const names = tensors.sampled(prefix).map((name) => name.slice(prefix.length));
  const present = names.flatMap((name) => source.get(name) ?? []);
  const arrays = await readTensors(present);
  const data = new Map(present.map((tensor, i) => [tensor, arrays[i]!]));
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (const name of names) {
    const values = data.get(source.get(name)!);
    const expected = tensors.numbers(prefix + name);
    const positions = sampleIndices(name, { count: expected.length, size: values?.length ?? 0 });
    theirs.push(...expected);
    ours.push(...Array.from(positions, (at) => values?.[at] ?? Number.NaN));
  }
  return { ours, theirs };
}

/** The largest error once the allowed share of larger ones is set aside, and the largest of all. */
function errorsBesideOutliers(ours: readonly number[], theirs: readonly number[], share: number): [number, number] {
  const errors = ours
    .map((value, i) => Math.abs(value - theirs[i]!))
    .map((error) => (Number.isNaN(error) ? Number.POSITIVE_INFINITY : error))
    .sort((a, b) => b - a);
  return [errors[Math.floor(share * errors.length)] ?? 0, errors[0] ?? 0];
}

interface Run {
  readonly meta: OptimPack;
  readonly tensors: PackTensors;
  readonly model: DFineModel;
  readonly optimizer: AdamW;
  readonly ema: Ema;
  readonly preset: DFinePresetName;
  readonly images: Tensor;
  readonly targets: readonly MatchTargets[];
  readonly isExact: boolean;
  readonly check: (name: string, error: number, allowed: number) => void;
}

async function checkStep(run: Run, k: number): Promise<void> {
  const { meta, tensors, model, optimizer, ema, isExact, check } = run;
  const { allowed } = meta;
  const expected = meta.steps[k]!;
  const config = configOf(run.preset);
  const rateFactor = linearWarmup(meta.warmup_duration)(k);
  using flow = new Scope("step");
  const call = { targets: run.targets, salt: meta.salt, suffix: `.step${k}` };
  const outputs = flow.run(() => trainingForward(model, run.images, call));
  const options = { config: config.criterion, weighting: weightingOf(config.model.decoder), scope: flow };
  const result = await criterion(outputs, run.targets, options);
  const { reading } = flow.run(() => {
    backward(result.total);
    return { reading: readTensors([result.values, result.total, globalNorm(optimizer.gradients())]) };
  });
  const [values, [total], [norm]] = (await reading) as [TypedArray, [number], [number]];
  const losses = lossError(result.names, values, expected.losses);
  optimizer.step({ rateFactor, gradientFactor: clipCoefficient(norm, meta.clip_max_norm) });
  optimizer.zeroGrad();
  ema.update(model.stateDict());
  const rates = optimizer.groups.map(({ learningRate }) => learningRate * rateFactor);
  const scalar = (name: string, found: readonly number[], wanted: readonly number[], allowance: number) =>
    check(`step ${k} ${name}`, relativeError(found, wanted, FLOOR), isExact ? allowed.float64_relative : allowance);
  scalar("loss", [total], [expected.loss], allowed.loss_relative);
  scalar("gradient norm", [norm], [expected.grad_norm], allowed.grad_norm_relative);
  scalar("learning rates", rates, expected.lr, allowed.float64_relative);
  const { ours, theirs } = await samplesOf(model.stateDict(), tensors, `param.${k}.`);
  if (isExact) {
    check(`step ${k} losses`, losses, allowed.float64_relative);
    scalar("parameters", ours, theirs, allowed.float64_relative);
  } else {
    const [usual, largest] = errorsBesideOutliers(ours, theirs, allowed.param_outliers);
    check(`step ${k} parameters`, usual, allowed.param_absolute);
    check(`step ${k} parameters, outliers`, largest, allowed.param_absolute_outlier);
  }
}

/**
 * Checks training steps with AdamW, clipping, warm-up and EMA: in float64 all of them, or the first `exactSteps`, and in float32
 * the first ones. The pack has averages after the last step only.
 */
export async function checkOptim(
  pack: Pack,
  report: Report,
  options: { preset: DFinePresetName; target: Target; exactSteps?: number | undefined },
): Promise<void> {
  const { preset, target, exactSteps = Number.POSITIVE_INFINITY } = options;
  const path = `optim/${preset}`;
  const train = `train/${preset}.safetensors`;
  if (!pack.has(`${path}.json`) || !pack.has(train)) return;
  const meta = pack.json<OptimPack>(`${path}.json`);
  const tensors = pack.tensors(`${path}.safetensors`);
  const isExact = target.backend.floatBits === 64;
  await onTarget(target, async () => {
    using model = proceduralModel(preset, dfineFill({ salt: meta.salt, gains: [1, 1, 1], train: true }));
    const optimizer = optimizerOf(model, meta);
    const ema = new Ema(model.stateDict(), meta.ema);
    const check: Run["check"] = (name, error, allowed) =>
      report.compare(`${path} ${name} (${target.label})`, error, allowed);
    check("parameter groups", groupDifferences(preset, model, meta.groups), 0);
    const images = await packImages(pack, meta.images, meta.size);
    const targets = packTargets(pack.tensors(train), meta.images.length);
    const run: Run = { meta, tensors, model, optimizer, ema, preset, images, targets, isExact, check };
    const steps = isExact ? Math.min(exactSteps, meta.steps.length) : meta.allowed.float32_steps;
    for (let k = 0; k < steps; k++) await checkStep(run, k);
    if (steps === meta.steps.length) {
      const { ours, theirs } = await samplesOf(ema.entries, tensors, "ema.");
      check("EMA", relativeError(ours, theirs, FLOOR), meta.allowed.float64_relative);
    }
    optimizer.dispose();
    ema.dispose();
  });
}
