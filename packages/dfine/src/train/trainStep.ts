import { clipCoefficient, globalNorm, readNamed, type Schedule } from "@dfine/nn";
import { backward, readTensors, type Scope, tensor } from "@dfine/tensor";
import type { Config } from "../config/config.ts";
import { type CriterionResult, criterion, criterionLosses, matchingInputs } from "../loss/criterion.ts";
import type { CriterionOptions } from "../loss/lossTerms.ts";
import type { Detector } from "../model/detector.ts";
import type { TrainingOutputs } from "../model/outputs.ts";
import type { TrainingBatch } from "./batch.ts";
import type { DeviceState } from "./deviceState.ts";
import { NonFiniteError, nonFiniteNames } from "./nonFinite.ts";
import { countStep, type TrainProgress, totalLoss } from "./progress.ts";
import { emaDecayAt } from "./stages.ts";
import { stepDraws } from "./stepDraws.ts";

/** What came of one step. */
export interface StepResult {
  /** Weighted terms by the official names, in D-FINE's order. */
  readonly losses: Readonly<Record<string, number>>;
  /** Their sum. */
  readonly loss: number;
  /** Global L2 norm of the gradients before clipping. */
  readonly gradientNorm: number;
  /** Loss or gradient was not finite, and nothing was updated. */
  readonly skipped: boolean;
}

/** What a step depends on besides weights and batch. */
export interface StepContext {
  readonly config: Config;
  /** Counts the step when it is done. */
  readonly progress: TrainProgress;
  readonly schedule: Schedule;
}

/**
 * Forward, criterion, backward, and, where loss and gradient are finite, clip, AdamW and EMA. The losses and the norm come
 * back in one read. D-FINE's training engine.
 * @throws NonFiniteError after several steps in a row that were not finite
 */
export async function trainStep(state: DeviceState, batch: TrainingBatch, context: StepContext): Promise<StepResult> {
  const { model, optimizer, ema, buffers } = state;
  const { config, progress, schedule } = context;
  const { clipMaxNorm, learningRate: baseRate } = config.train.optimizer;
  using flow = state.flow("train step");
  flow.run(() => buffers.take());
  const result = await batchLosses(flow, model, { batch, context });
  const { reading } = flow.run(() => {
    backward(result.total);
    return { reading: readTensors([result.values, globalNorm(optimizer.gradients())]) };
  });
  const [terms, norms] = await reading;
  const gradientNorm = norms![0]!;
  const byName = new Map(result.names.map((name, i) => [name, terms![i]!]));
  const losses = Object.fromEntries([...result.losses.keys()].map((name) => [name, byName.get(name)!]));
  const loss = totalLoss(losses);
  const skipped = !Number.isFinite(loss) || !Number.isFinite(gradientNorm);
  const rateFactor = schedule(progress.step);
  flow.run(() => {
    if (skipped) buffers.putBack();
    else {
      optimizer.step({ rateFactor, gradientFactor: clipCoefficient(gradientNorm, clipMaxNorm) });
      ema.update(model.stateDict(), { decay: emaDecayAt(config, progress) });
    }
    optimizer.zeroGrad();
  });
  countStep(progress, skipped ? undefined : losses);
  if (progress.skippedInARow >= config.train.limits.nonFiniteSteps) {
    const { step, epoch } = progress;
    const boxes = batch.targets.map(({ labels }) => labels.length);
    const weights = nonFiniteNames(await readNamed(model.stateDict()), model);
    const facts = { step, epoch, imageIds: batch.imageIds, boxes, losses, gradientNorm, weights };
    throw new NonFiniteError({ ...facts, learningRate: baseRate * rateFactor }, progress.skippedInARow);
  }
  return { losses, loss, gradientNorm, skipped };
}

/**
 * Has the kernels of a step compiled before it, those of the update excepted, where the backend offers that. It leaves no
 * trace in `state`. What fails here fails in the step too, which tells of it.
 */
export async function compileStep(state: DeviceState, batch: TrainingBatch, context: StepContext): Promise<void> {
  const { model, optimizer, backend } = state;
  const rehearsal = () => {
    using flow = state.flow("rehearsal");
    try {
      flow.run(() => {
        const outputs = trainingOutputs(model, batch, context);
        const read = matchingInputs(outputs, batch.targets).map(({ size }) => new Float32Array(size));
        backward(criterionLosses(outputs, batch.targets, { ...lossOptions(model, context), read }).total);
        globalNorm(optimizer.gradients());
      });
    } finally {
      optimizer.zeroGrad();
    }
  };
  await backend.precompile?.(rehearsal).catch(() => undefined);
  state.isCompiled = true;
}

/** The criterion's result for a batch, which `flow` owns, with the denoising queries of the step that comes next. */
export function batchLosses(
  flow: Scope,
  model: Detector,
  { batch, context }: { batch: TrainingBatch; context: Pick<StepContext, "config" | "progress"> },
): Promise<CriterionResult> {
  const outputs = flow.run(() => trainingOutputs(model, batch, context));
  return criterion(outputs, batch.targets, { ...lossOptions(model, context), scope: flow });
}

const lossOptions = (model: Detector, { config }: Pick<StepContext, "config">): CriterionOptions => ({
  config: config.criterion,
  weighting: model.weighting,
});

function trainingOutputs(
  model: Detector,
  { images, shape, targets }: TrainingBatch,
  { config, progress }: Pick<StepContext, "config" | "progress">,
): TrainingOutputs {
  const denoising = model.denoisingQueries(targets, stepDraws(config.train.seed, progress.step));
  return model.trainingOutputs(tensor(images, shape), { denoising });
}
