import { clipCoefficient, globalNorm, readNamed, type Schedule, setDropout } from "@dfine/nn";
import { backward, readTensors, type Scope, tensor } from "@dfine/tensor";
import type { Config } from "../config/config.ts";
import { type CriterionResult, criterion, criterionLosses } from "../loss/criterion.ts";
import type { CriterionOptions } from "../loss/lossTerms.ts";
import { matchingInputs } from "../loss/matching.ts";
import type { Detector } from "../model/detector.ts";
import type { TrainingOutputs } from "../model/outputs.ts";
import { batchParts, type TrainingBatch } from "./batch.ts";
import type { DeviceState } from "./deviceState.ts";
import { NonFiniteError, nonFiniteNames } from "./nonFinite.ts";
import { countStep, type TrainProgress, totalLoss } from "./progress.ts";
import { emaDecayAt } from "./stages.ts";
import { stepDraws, stepRandom } from "./stepDraws.ts";

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
 * Forward, criterion, backward of each part of the batch, and, where loss and gradient are finite, clip, AdamW and EMA. The
 * losses and the norm come back in one read, the losses of earlier parts in one each. D-FINE's training engine.
 * @throws NonFiniteError after several steps in a row that were not finite
 */
export async function trainStep(state: DeviceState, batch: TrainingBatch, context: StepContext): Promise<StepResult> {
  const { model, source, optimizer, ema, buffers } = state;
  const { config, progress, schedule } = context;
  const { clipMaxNorm, learningRate: baseRate } = config.train.optimizer;
  const parts = batchParts(batch, config.train.accumulate);
  const losses: Record<string, number> = {};
  let gradientNorm = Number.NaN;
  for (const [i, part] of parts.entries()) {
    using flow = state.flow("train step");
    if (i === 0) flow.run(() => buffers.take());
    const result = await batchLosses(flow, model, { batch: part, context, part: i });
    const { reading } = flow.run(() => {
      backward(result.total);
      const norm = i === parts.length - 1 ? [globalNorm(optimizer.gradients())] : [];
      return { reading: readTensors([result.values, ...norm]) };
    });
    const [terms, norms] = await reading;
    const byName = new Map(result.names.map((name, k) => [name, terms![k]!]));
    for (const name of result.losses.keys()) losses[name] = (losses[name] ?? 0) + byName.get(name)! / parts.length;
    if (norms) gradientNorm = norms[0]! / parts.length;
  }
  const loss = totalLoss(losses);
  const skipped = !Number.isFinite(loss) || !Number.isFinite(gradientNorm);
  using flow = state.flow("update");
  const rateFactor = schedule(progress.step);
  flow.run(() => {
    if (skipped) buffers.putBack();
    else {
      optimizer.step({ rateFactor, gradientFactor: clipCoefficient(gradientNorm, clipMaxNorm) / parts.length });
      ema?.update(source, { decay: emaDecayAt(config, progress) });
    }
    optimizer.zeroGrad();
  });
  countStep(progress, skipped ? undefined : losses);
  if (progress.skippedInARow >= config.train.limits.nonFiniteSteps) {
    const { step, epoch } = progress;
    const boxes = batch.targets.map(({ labels }) => labels.length);
    const weights = nonFiniteNames(await readNamed(source), model);
    const facts = { step, epoch, imageIds: batch.imageIds, boxes, losses, gradientNorm, weights };
    throw new NonFiniteError({ ...facts, learningRate: baseRate * rateFactor }, progress.skippedInARow);
  }
  return { losses, loss, gradientNorm, skipped };
}

/**
 * Has the kernels of a step compiled before it, those of the update excepted, where the backend offers that. It leaves no
 * trace in `state`. What fails here fails in the step too, which tells of it.
 */
export async function compileStep(state: DeviceState, whole: TrainingBatch, context: StepContext): Promise<void> {
  const [batch] = batchParts(whole, context.config.train.accumulate) as [TrainingBatch];
  const { model, optimizer, backend } = state;
  const rehearsal = () => {
    using flow = state.flow("rehearsal");
    try {
      flow.run(() => {
        const outputs = trainingOutputs(model, batch, context);
        const read = matchingInputs(outputs, batch.targets, context.config.criterion).map(
          ({ size }) => new Float32Array(size),
        );
        // A step reads them here, and nothing that waits goes past that.
        backend.flush();
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
  { batch, context, part }: { batch: TrainingBatch; context: Pick<StepContext, "config" | "progress">; part?: number },
): Promise<CriterionResult> {
  const outputs = flow.run(() => trainingOutputs(model, batch, { ...context, part }));
  return criterion(outputs, batch.targets, { ...lossOptions(model, context), scope: flow });
}

const lossOptions = (model: Detector, { config }: Pick<StepContext, "config">): CriterionOptions => ({
  config: config.criterion,
  weighting: model.weighting,
});

function trainingOutputs(
  model: Detector,
  { images, shape, targets, validSizes }: TrainingBatch,
  { config, progress, part }: Pick<StepContext, "config" | "progress"> & { readonly part?: number | undefined },
): TrainingOutputs {
  const { seed, dropout: share } = config.train;
  const at = { seed, step: progress.step, part };
  if (share > 0) setDropout(model, { share, random: stepRandom("dropout", at) });
  const denoising = model.denoisingQueries(targets, stepDraws(at));
  return model.trainingOutputs(tensor(images, shape), { denoising, validSizes });
}
