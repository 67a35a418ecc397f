import { clipCoefficient, globalNorm, readNamed, type Schedule } from "@dfine/nn";
import { backward, currentBackend, readTensors, scope, tensor } from "@dfine/tensor";
import type { Config } from "../config/config.ts";
import { type CriterionResult, criterion } from "../loss/criterion.ts";
import type { Detector } from "../model/detector.ts";
import type { TrainingOutputs } from "../model/outputs.ts";
import type { TrainingBatch } from "./batch.ts";
import type { DeviceState } from "./deviceState.ts";
import { stepDraws } from "./draws.ts";
import { NonFiniteError, nonFiniteNames, nonFiniteReport } from "./nonFinite.ts";
import { countStep, type TrainProgress, totalLoss } from "./progress.ts";

/** What came of one step. */
export interface StepResult {
  /** Weighted terms by the official names, in D-FINE's order. */
  readonly losses: Record<string, number>;
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
  buffers.take();
  const result = await batchLosses(model, batch, context);
  backward(result.total);
  const [terms, norms] = await readTensors([result.values, globalNorm(optimizer.gradients())]);
  const gradientNorm = norms![0]!;
  const byName = new Map(result.names.map((name, i) => [name, terms![i]!]));
  const losses = Object.fromEntries([...result.losses.keys()].map((name) => [name, byName.get(name)!]));
  const loss = totalLoss(losses);
  const skipped = !Number.isFinite(loss) || !Number.isFinite(gradientNorm);
  const rateFactor = schedule(progress.step);
  if (skipped) buffers.putBack();
  else {
    optimizer.step({ rateFactor, gradientFactor: clipCoefficient(gradientNorm, clipMaxNorm) });
    ema.update(model.stateDict());
  }
  optimizer.zeroGrad();
  countStep(progress, skipped ? undefined : losses);
  if (progress.skippedInARow >= config.train.limits.nonFiniteSteps) {
    const { step, epoch } = progress;
    const learningRate = baseRate * rateFactor;
    const weights = nonFiniteNames(await readNamed(model.stateDict()), model);
    const report = nonFiniteReport(batch, { step, epoch, learningRate, losses, gradientNorm, weights });
    throw new NonFiniteError(report, progress.skippedInARow);
  }
  return { losses, loss, gradientNorm, skipped };
}

/**
 * Has the kernels of a step's forward pass compiled before it, where the backend offers that. It leaves no trace in `state`.
 * What fails here fails in the step too, which tells of it.
 */
export async function compileStep({ model }: DeviceState, batch: TrainingBatch, context: StepContext): Promise<void> {
  const rehearsal = () => scope("rehearsal", () => void trainingOutputs(model, batch, context));
  await currentBackend()
    .precompile?.(rehearsal)
    .catch(() => undefined);
}

/** The criterion's result for a batch, with the denoising queries of the step that comes next. */
export function batchLosses(
  model: Detector,
  batch: TrainingBatch,
  context: Pick<StepContext, "config" | "progress">,
): Promise<CriterionResult> {
  const { criterion: config } = context.config;
  return criterion(trainingOutputs(model, batch, context), batch.targets, { config, weighting: model.weighting });
}

function trainingOutputs(
  model: Detector,
  { images, shape, targets }: TrainingBatch,
  { config, progress }: Pick<StepContext, "config" | "progress">,
): TrainingOutputs {
  const denoising = model.denoisingQueries(targets, stepDraws(config.train.seed, progress.step));
  return model.trainingOutputs(tensor(images, shape), { denoising });
}
