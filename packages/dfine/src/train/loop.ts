import { checkOptions, type OptionRules, thing, whole } from "@dfine/tensor";
import { abortSignal } from "../optionRules.ts";
import type { BatchSource, TrainData } from "./batch.ts";
import { type BestState, bestInMemory, enterStage } from "./bestState.ts";
import type { EpochEvent, StepEvent, TrainEvent } from "./events.ts";
import { meanLosses, nextEpoch, totalLoss } from "./progress.ts";
import { Recovery } from "./recovery.ts";
import { judgeEpoch, precedesStage2, stopsEarly } from "./stages.ts";
import { takeUpData } from "./takeUpData.ts";
import type { Trainer } from "./trainer.ts";

/** When a training loop ends early. */
export interface TrainLoopOptions {
  /** Ends the run after this many steps in all, also inside an epoch. */
  readonly maxSteps?: number | undefined;
  /** Where the best state of stage 1 is kept for stage 2. Default: in memory. */
  readonly bestState?: BestState | undefined;
  /** Ends an evaluation early; between steps the caller just leaves the loop. */
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS: OptionRules<TrainLoopOptions> = { maxSteps: whole(1), bestState: thing, signal: abortSignal };

/**
 * Trains from where the trainer stands to the end, telling after each step and epoch. Leaving the loop early, saving and
 * going on later gives the same weights. Where the trainer can replace a lost device, the run goes back to its last
 * snapshot (`train.snapshotEvery`), says so, repeats the steps since then, and ends with the same weights.
 * @throws DatasetError for data that the run cannot go on with; ArgumentError for options; NonFiniteError, ImageError,
 * DeviceLostError
 */
export async function* trainLoop(
  trainer: Trainer,
  data: TrainData,
  options: TrainLoopOptions = {},
): AsyncGenerator<TrainEvent, void, undefined> {
  checkOptions("trainLoop", options, OPTIONS);
  takeUpData(trainer, data);
  const { progress } = trainer;
  const recovery = new Recovery(trainer);
  const { bestState = bestInMemory() } = options;
  const stepsPerEpoch = data.train.batchesPerEpoch;
  const stepsInAll = lastStep(trainer, data, options);
  let lastStage: number | undefined;
  while (!stopsEarly(trainer) && (progress.step < stepsInAll || progress.stepInEpoch === stepsPerEpoch)) {
    const start = performance.now();
    try {
      const stage = await enterStage(trainer, bestState);
      // A lost device may have undone it.
      if (stage && stage.step !== lastStage) yield stage;
      lastStage = stage?.step ?? lastStage;
      yield* trainSteps(trainer, data.train, { stepsInAll, recovery });
      const { signal } = options;
      const evaluation = data.val && (await trainer.evaluate(data.val.source, data.val.dataset, { signal }));
      const event = closeEpoch(trainer, {
        evaluation,
        complete: progress.stepInEpoch === stepsPerEpoch,
        seconds: seconds(start),
        learningRate: trainer.learningRate(progress.step - 1, stepsPerEpoch),
      });
      if (event.best && event.complete && evaluation && precedesStage2(trainer.config, event.epoch))
        await bestState.save(await trainer.saveState());
      await recovery.afterEpoch();
      yield event;
    } catch (error) {
      yield await recovery.goBack(error);
    }
  }
}

/** Steps that a run will have in all, where its epochs stay as long as they are. */
export function lastStep(
  { config, progress: { step, stepInEpoch, epoch } }: Trainer,
  { train }: TrainData,
  { maxSteps = Number.POSITIVE_INFINITY }: TrainLoopOptions,
): number {
  return Math.min(maxSteps, step - stepInEpoch + (config.train.epochs - epoch) * train.batchesPerEpoch);
}

/** Whether `trainLoop` would have nothing to do. */
export const isDone = (trainer: Trainer, data: TrainData, options: TrainLoopOptions): boolean =>
  stopsEarly(trainer) ||
  (trainer.progress.step >= lastStep(trainer, data, options) &&
    trainer.progress.stepInEpoch !== data.train.batchesPerEpoch);

async function* trainSteps(
  trainer: Trainer,
  source: BatchSource,
  { stepsInAll, recovery }: { stepsInAll: number; recovery: Recovery },
): AsyncGenerator<StepEvent, void, undefined> {
  const { progress } = trainer;
  const stepsPerEpoch = source.batchesPerEpoch;
  let start = performance.now();
  if (progress.step >= stepsInAll) return;
  for await (const batch of source.batches(progress.epoch, { start: progress.stepInEpoch })) {
    const learningRate = trainer.learningRate(progress.step, stepsPerEpoch);
    const result = await trainer.step(batch, stepsPerEpoch);
    const { epoch, step, stepInEpoch } = progress;
    yield {
      kind: "step",
      ...{ epoch, step, stepInEpoch, stepsPerEpoch, stepsInAll, learningRate },
      ...result,
      images: batch.shape[0],
      seconds: seconds(start),
      replayed: recovery.countStep(step),
    };
    if (step >= stepsInAll) return;
    await recovery.afterStep();
    start = performance.now();
  }
}

function closeEpoch(
  trainer: Trainer,
  facts: Pick<EpochEvent, "evaluation" | "complete" | "seconds" | "learningRate">,
): EpochEvent {
  const { progress, config } = trainer;
  const { epoch, step, skipped } = progress;
  const losses = meanLosses(progress);
  const value = facts.evaluation?.result.stats[config.train.bestBy];
  // A value of 0, or of -1 where there is nothing to find, tells no epoch from another.
  const best = !progress.best || (value ?? 0) > progress.best.value;
  // Inside an epoch nothing is taken down: the run would otherwise go on other than without the stop.
  if (facts.complete) {
    judgeEpoch(trainer, { value, isBest: best });
    nextEpoch(progress);
  }
  return { kind: "epoch", epoch, step, skipped, losses, loss: totalLoss(losses), best, ...facts };
}

const seconds = (start: number): number => (performance.now() - start) / 1000;
