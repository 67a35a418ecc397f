import { callable, checkOptions, DeviceLostError, needed, type OptionRules, text, thing, whole } from "@dfine/tensor";
import { DatasetError, ImageError } from "../data/errors.ts";
import { abortSignal, texts } from "../optionRules.ts";
import type { TrainData } from "../train/batch.ts";
import type { EpochEvent } from "../train/events.ts";
import { isDone, lastStep, trainLoop } from "../train/loop.ts";
import { NonFiniteError } from "../train/nonFinite.ts";
import type { TrainProgress } from "../train/progress.ts";
import { stopsEarly } from "../train/stages.ts";
import { takeUpData } from "../train/takeUpData.ts";
import type { Trainer } from "../train/trainer.ts";
import type { DatasetSplit } from "./data/datasetParts.ts";
import { type LoaderResources, trainLoaders } from "./data/trainLoaders.ts";
import { LeftOut } from "./leftOut.ts";
import type { EstimateEvent, RunSink } from "./runEvents.ts";
import type { RunFolder } from "./runFolder.ts";
import { type RecorderOptions, RunRecorder } from "./runRecorder.ts";

/** What a run trains on, where it is kept, and who is told of it. */
export interface TrainRunOptions extends Omit<RecorderOptions, "run" | "leftOut">, LoaderResources {
  /** Makes or opens the run folder: called once nothing can be refused any more. */
  readonly run: () => RunFolder | Promise<RunFolder>;
  readonly train: DatasetSplit;
  /** Told of everything that happens, after it is on the disk. */
  readonly onEvent?: RunSink;
  /** Ends the run after the step in progress, with its state saved. */
  readonly signal?: AbortSignal;
  /** Ends the run after this many steps in all. */
  readonly maxSteps?: number | undefined;
}

const OPTIONS: OptionRules<TrainRunOptions> = {
  ...{
    trainer: needed(thing),
    run: needed(callable),
    train: needed(thing),
    val: thing,
    onEvent: callable,
    signal: abortSignal,
  },
  ...{ workers: whole(0), cacheBytes: whole(0), maxSteps: whole(1), title: needed(text), notes: texts, live: thing },
};

/** How a run came to its end. */
export interface TrainRunOutcome {
  readonly run: RunFolder;
  readonly interrupted: boolean;
  /** The last epoch that was finished now. */
  readonly last?: EpochEvent;
  /** The best epoch, one that ended early included; null where none was above 0, and `run.best` is the last one. */
  readonly best: TrainProgress["best"];
}

/**
 * Trains in a run folder: logs, checkpoints after every epoch and on interruption, and the report. A trainer that has done
 * steps goes on with the run in that folder.
 * @throws DatasetError, ConfigError, ArgumentError before the folder is made or touched; otherwise as `trainLoop`
 */
export async function runTraining(options: TrainRunOptions): Promise<TrainRunOutcome> {
  checkOptions("runTraining", options, OPTIONS);
  const { trainer, maxSteps, onEvent = () => {} } = options;
  const warn = (text: string) => onEvent({ kind: "warning", text });
  const leftOut = new LeftOut(onEvent);
  using data = trainLoaders(trainer.config, { ...options, onBroken: (part) => leftOut.of(part) });
  const changes = takeUpData(trainer, data);
  changes.forEach(warn);
  if (trainer.progress.step === 0) await readFirst(data);
  const run = await options.run();
  onEvent({ kind: "started", run });
  if (isDone(trainer, data, { maxSteps })) {
    warn(nothingLeft(trainer, maxSteps));
    return { run, interrupted: false, best: trainer.progress.best };
  }
  const notes = [...(options.notes ?? []), ...changes];
  const recorder = await RunRecorder.open({ ...options, run, leftOut, notes });
  if (recorder.note) warn(recorder.note);
  try {
    return await recordRun(options, { run, data, recorder, leftOut });
  } finally {
    await recorder.close();
  }
}

/** Trains, and has everything written down. */
async function recordRun(
  options: TrainRunOptions,
  { run, data, recorder, leftOut }: { run: RunFolder; data: TrainData; recorder: RunRecorder; leftOut: LeftOut },
): Promise<TrainRunOutcome> {
  const { trainer, signal, maxSteps, onEvent = () => {} } = options;
  const warn = (text: string) => onEvent({ kind: "warning", text });
  const { bestState } = recorder;
  const estimate = await estimateRun(trainer, data, { maxSteps });
  if (estimate) onEvent(estimate);
  let last: EpochEvent | undefined;
  try {
    for await (const event of trainLoop(trainer, data, { signal, maxSteps, bestState })) {
      if (event.kind === "epoch") last = event;
      await recorder.take(event);
      onEvent(event);
      if (signal?.aborted) break;
    }
  } catch (error) {
    if (error instanceof NonFiniteError) (await recorder.failed(error)).forEach(warn);
    const isAboutData = error instanceof DatasetError || error instanceof ImageError;
    if (isAboutData && trainer.progress.step > 0) {
      await recorder.stop();
      warn(
        `the training so far is saved; go on, once this is mended, with: dfine train --resume ${run.path}; with other images, start a new run: dfine train --weights ${run.path}`,
      );
    }
    if (error instanceof DeviceLostError && trainer.snapshotStep > 0) await recorder.stop();
    if (!signal?.aborted || error !== signal.reason) throw error;
  }
  const interrupted = signal?.aborted === true;
  if (interrupted) await recorder.stop();
  leftOut.notes.forEach(warn);
  if (stopsEarly(trainer)) warn(stoppedEarly(trainer));
  return { run, interrupted, best: bestOf(trainer, last), ...(last ? { last } : {}) };
}

function bestOf({ progress, config }: Trainer, last: EpochEvent | undefined): TrainProgress["best"] {
  const value = last?.best && !last.complete ? last.evaluation?.result.stats[config.train.bestBy] : undefined;
  return last && value !== undefined && value > 0 ? { value, epoch: last.epoch } : progress.best;
}

/** Reads a batch of each part: images of which none can be used are met before anything is made. */
async function readFirst({ train, val }: TrainData): Promise<void> {
  for (const source of [train, val?.source]) {
    const batches = source?.batches(0)[Symbol.asyncIterator]();
    await batches?.next();
    await batches?.return?.();
  }
}

/** Steps from which on it is worth it to try some before. */
const WORTH_TRYING = 200;

/** What the rest of a run takes; undefined where it is short. A batch that does not fit is left for the first step to tell. */
async function estimateRun(
  trainer: Trainer,
  data: TrainData,
  options: Pick<TrainRunOptions, "maxSteps">,
): Promise<EstimateEvent | undefined> {
  const { progress } = trainer;
  const steps = lastStep(trainer, data, options) - progress.step;
  if (steps < WORTH_TRYING || progress.stepInEpoch === data.train.batchesPerEpoch) return undefined;
  for await (const batch of data.train.batches(progress.epoch, { start: progress.stepInEpoch })) {
    const cost = await trainer.measure(batch).catch(() => undefined);
    return cost && { kind: "estimate", secondsPerStep: cost.seconds, steps, bytes: cost.bytes };
  }
  return undefined;
}

const stoppedEarly = ({ progress, config }: Trainer): string =>
  `${config.train.bestBy} has not risen by more than ${config.train.earlyStop.minDelta} for ${progress.watched.waited} epochs, so the run ends after epoch ${progress.epoch}; to train longer, set train.earlyStop.patience in its config.yaml`;

/** Why a run that goes on has nothing to do. */
function nothingLeft(trainer: Trainer, maxSteps = Number.POSITIVE_INFINITY): string {
  const { epoch, step } = trainer.progress;
  const { epochs } = trainer.config.train;
  if (stopsEarly(trainer)) return stoppedEarly(trainer);
  if (epoch === epochs)
    return `this run is finished: it has ${epoch} of ${epochs} epochs; to train longer, give more --epochs`;
  return epoch > epochs
    ? `nothing to do: the run has ${epoch} epochs, and should end after ${epochs}; give more --epochs`
    : `nothing to do: the run is at step ${step}, and should end after ${maxSteps}; give more --steps`;
}
