import { join } from "node:path";
import { DeviceLostError } from "@dfine/tensor";
import type { FitReport } from "../checkpoint/fit.ts";
import { stringify } from "../config/yaml.ts";
import { DatasetError, ImageError } from "../data/errors.ts";
import { formatCocoStats } from "../evaluation/cocoStats.ts";
import type { EpochEvent, RecoveryEvent, StepEvent } from "../train/events.ts";
import { trainLoop } from "../train/loop.ts";
import { NonFiniteError } from "../train/nonFinite.ts";
import type { Trainer } from "../train/trainer.ts";
import { writeFileAtomic } from "./checkpointFile.ts";
import type { Interrupt } from "./cli/interrupt.ts";
import { ProgressLine } from "./cli/progressLine.ts";
import type { Terminal } from "./cli/terminal.ts";
import type { BrokenImage } from "./data/brokenImages.ts";
import type { DatasetSplit } from "./data/loadDataYaml.ts";
import { createLoader, type Loader } from "./data/loader.ts";
import { environment } from "./environment.ts";
import { LeftOut, type LeftOutPart } from "./leftOut.ts";
import { renderReport } from "./report/report.ts";
import type { RunFolder } from "./runFolder.ts";
import { RESULT_COLUMNS, type ResultsRow, RunLog } from "./runLog.ts";
import { ReportCurves, reportSamples, type Sample, samplesWithDetections } from "./trainReport.ts";

export interface TrainRunOptions {
  readonly trainer: Trainer;
  readonly run: RunFolder;
  readonly train: DatasetSplit;
  readonly val?: DatasetSplit | undefined;
  readonly terminal: Terminal;
  readonly interrupt: Interrupt;
  readonly title: string;
  /** How the weights that it starts from came into the model. */
  readonly fit?: FitReport | undefined;
  /** For the report: what was mended in the data, and what became of the weights. */
  readonly notes?: readonly string[];
  readonly maxSteps?: number | undefined;
  /** The trainer was restored from the run's own state. */
  readonly resumed?: boolean;
}

export interface TrainRunOutcome {
  readonly interrupted: boolean;
  /** The last epoch that was finished now. */
  readonly last?: EpochEvent;
}

/** Trains in a run folder: logs, checkpoints after every epoch and on interruption, and the report. */
export async function runTraining(options: TrainRunOptions): Promise<TrainRunOutcome> {
  const recorder = await RunRecorder.open(options);
  const { trainer, interrupt, terminal } = options;
  const line = new ProgressLine();
  let last: EpochEvent | undefined;
  try {
    const loop = trainLoop(trainer, loaders(options, recorder.leftOut), {
      signal: interrupt.signal,
      ...(options.maxSteps === undefined ? {} : { maxSteps: options.maxSteps }),
    });
    for await (const event of loop) {
      switch (event.kind) {
        case "step":
          terminal.progress(line.step(event, trainer.config.train.epochs));
          await recorder.step(event);
          break;
        case "epoch":
          line.epoch(event);
          last = event;
          await recorder.epoch(event);
          break;
        case "recovery":
          await recorder.recovery(event);
          break;
        default:
          event satisfies never;
      }
      if (interrupt.requested) break;
    }
  } catch (error) {
    if (error instanceof NonFiniteError) await recorder.failed(error);
    const isAboutData = error instanceof DatasetError || error instanceof ImageError;
    if (isAboutData && trainer.progress.step > 0) await recorder.saveForLater();
    if (error instanceof DeviceLostError && trainer.snapshotStep > 0) await recorder.saveState();
    if (error !== interrupt.signal.reason) throw error;
  }
  if (interrupt.requested) await recorder.saveState();
  recorder.sum();
  return { interrupted: interrupt.requested, ...(last ? { last } : {}) };
}

function loaders(
  { trainer, train, val }: TrainRunOptions,
  leftOut: LeftOut,
): {
  train: Loader;
  val?: { source: Loader; dataset: DatasetSplit["dataset"] };
} {
  const { model, train: recipe } = trainer.config;
  const size = model.evalSize;
  const { brokenImages: mostBroken, maxPixels } = recipe.limits;
  const images = (part: LeftOutPart) => ({ mostBroken, maxPixels, onBroken: leftOut.of(part) });
  const training = createLoader({
    ...train,
    size,
    batchSize: recipe.batch,
    training: true,
    seed: recipe.seed,
    flip: recipe.augmentation.flip,
    ...images("train"),
  });
  if (!val) return { train: training };
  const source = createLoader({ ...val, size, batchSize: recipe.valBatch, training: false, ...images("val") });
  return { train: training, val: { source, dataset: val.dataset } };
}

/** Puts what happens in a run on the disk and on the terminal. */
class RunRecorder {
  readonly #options: TrainRunOptions;
  readonly #log: RunLog;
  readonly #curves: ReportCurves;
  readonly #samples: readonly Sample[];
  readonly leftOut: LeftOut;
  /** Met since the last line of the log. */
  #unlogged: { image: BrokenImage; part: LeftOutPart }[] = [];

  private constructor(
    options: TrainRunOptions,
    parts: { log: RunLog; curves: ReportCurves; samples: readonly Sample[] },
  ) {
    this.#options = options;
    this.#log = parts.log;
    this.#curves = parts.curves;
    this.#samples = parts.samples;
    this.leftOut = new LeftOut(options.terminal, (image, part) => this.#unlogged.push({ image, part }));
  }

  static async open(options: TrainRunOptions): Promise<RunRecorder> {
    const { run, trainer, val, resumed, fit } = options;
    const log = new RunLog(run);
    await log.open(resumed ? trainer.progress : undefined);
    if (fit) await log.event({ kind: "weights", epoch: 0, step: 0, ...fit });
    await writeFileAtomic(run.config, stringify(trainer.config));
    await writeFileAtomic(run.environment, `${JSON.stringify(environment(trainer.backend), null, 2)}\n`);
    const curves = await ReportCurves.read(run.events);
    return new RunRecorder(options, {
      log,
      curves,
      samples: val ? await reportSamples(val, trainer.config.train.limits) : [],
    });
  }

  async step(event: StepEvent): Promise<void> {
    const { epoch, step, loss, gradientNorm, learningRate, seconds, skipped, losses, replayed } = event;
    await this.#logLeftOut(event);
    if (replayed) return;
    this.#curves.step(step, loss);
    const numbers = { loss, gradientNorm, learningRate, seconds };
    await this.#log.event({ kind: "step", epoch, step, skipped, ...short(numbers), losses: short(losses) });
  }

  async epoch(event: EpochEvent): Promise<void> {
    const { run, trainer } = this.#options;
    const { kind, epoch, step, loss, losses, evaluation, complete } = event;
    this.#curves.epoch(event);
    await this.#logLeftOut(event);
    const model = await trainer.saveModel();
    await writeFileAtomic(run.last, model);
    if (event.best) await writeFileAtomic(run.best, model);
    if (complete && (epoch + 1) % trainer.config.train.checkpointEvery === 0)
      await writeFileAtomic(join(run.path, "weights", `epoch${String(epoch + 1).padStart(4, "0")}.safetensors`), model);
    await this.#log.event({
      ...{ kind, epoch, step, loss, losses: short(losses) },
      ...(evaluation ? { stats: evaluation.result.stats, perCategory: evaluation.result.perCategory } : {}),
    });
    await this.#log.row(resultsRow(event));
    await this.saveState();
    await this.#report(event);
    this.#tell(event);
  }

  /** Says that the device was lost, and from where the run goes on. */
  async recovery({ reason, lostAt, ...event }: RecoveryEvent): Promise<void> {
    await this.#log.event({ ...event, lostAt, reason });
    const { terminal } = this.#options;
    terminal.data({ ...event, lostAt, reason });
    terminal.warn(
      `the device was lost after step ${lostAt}; going on after step ${event.step} on a new one (${reason})`,
    );
  }

  async #logLeftOut({ epoch, step }: StepEvent | EpochEvent): Promise<void> {
    const images = this.#unlogged;
    this.#unlogged = [];
    for (const { image, part } of images) await this.#log.event({ kind: "left out", epoch, step, part, ...image });
  }

  /** Tells at the end what was left out on the way. */
  sum(): void {
    for (const note of this.leftOut.notes) this.#options.terminal.warn(note);
  }

  /** Saves a run that has to stop, for when its data is mended. */
  async saveForLater(): Promise<void> {
    await this.saveState();
    const { terminal, run } = this.#options;
    terminal.warn(`the training so far is saved; go on, once this is mended, with: dfine train --resume ${run.path}`);
  }

  async saveState(): Promise<void> {
    await writeFileAtomic(this.#options.run.state, await this.#options.trainer.saveState());
  }

  /** Keeps what is known about steps that were not finite. */
  async failed({ report }: NonFiniteError): Promise<void> {
    await writeFileAtomic(
      join(this.#options.run.path, "nonfinite.json"),
      `${JSON.stringify(report, printNumber, 2)}\n`,
    );
    const { trainer, run, terminal } = this.#options;
    if (report.weights.length > 0 || trainer.progress.step === trainer.progress.skipped) return;
    const path = join(run.path, "weights", "stopped.safetensors");
    await writeFileAtomic(path, await trainer.saveModel());
    terminal.warn(`the weights before these steps are saved: ${path}`);
  }

  async #report({ evaluation }: EpochEvent): Promise<void> {
    const { title, run, trainer, val, notes = [] } = this.#options;
    const { skipped } = trainer.progress;
    const html = renderReport({
      title,
      steps: this.#curves.steps,
      epochs: this.#curves.epochs,
      evaluation: evaluation?.result,
      images: val && evaluation ? samplesWithDetections(this.#samples, evaluation.detections, val.dataset) : [],
      config: stringify(trainer.config),
      environment: environment(trainer.backend),
      notes: [
        ...notes,
        ...this.leftOut.notes,
        ...(skipped > 0 ? [`${skipped} steps were skipped because they were not finite`] : []),
      ],
    });
    await writeFileAtomic(run.report, html);
  }

  #tell(event: EpochEvent): void {
    const { terminal, trainer } = this.#options;
    const { epoch, loss, evaluation, best, seconds, step } = event;
    const stats = evaluation?.result.stats;
    terminal.data({ kind: "epoch", epoch: epoch + 1, step, loss, seconds, best, ...(stats ? { stats } : {}) });
    const ap = stats ? ` · AP ${stats.AP.toFixed(3)} · AP50 ${stats.AP50.toFixed(3)}${best ? " (best)" : ""}` : "";
    terminal.say(
      `epoch ${epoch + 1}/${trainer.config.train.epochs} · loss ${loss.toFixed(2)}${ap} · ${seconds.toFixed(0)} s`,
    );
    if (stats) terminal.note(formatCocoStats(stats));
  }
}

function resultsRow({ epoch, step, seconds, loss, losses, learningRate, skipped, evaluation }: EpochEvent): ResultsRow {
  const known: Readonly<Record<string, number>> = {
    ...short(losses),
    ...{ epoch: epoch + 1, step, seconds: Math.round(seconds), loss: Number(loss.toPrecision(6)) },
    ...{ learning_rate: learningRate, skipped },
    ...evaluation?.result.stats,
  };
  return Object.fromEntries(RESULT_COLUMNS.map((column) => [column, known[column] ?? ""])) as ResultsRow;
}

/** Six digits are plenty for a log of some fifty terms a step. */
function short(numbers: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, Number(value.toPrecision(6))]));
}

/** JSON has no NaN and no infinity, and here they are the point. */
const printNumber = (_: string, value: unknown): unknown =>
  typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
