import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "../config/yaml.ts";
import type { BestState } from "../train/bestState.ts";
import type { Evaluation } from "../train/evaluate.ts";
import type { EpochEvent, StepEvent, TrainEvent } from "../train/events.ts";
import type { NonFiniteError } from "../train/nonFinite.ts";
import type { Trainer } from "../train/trainer.ts";
import { Background } from "./background.ts";
import { removeTemporaries, writeFileAtomic } from "./checkpointFile.ts";
import type { DatasetSplit } from "./data/datasetParts.ts";
import { environment } from "./environment.ts";
import type { LeftOut } from "./leftOut.ts";
import { mistakePictures } from "./mistakePictures.ts";
import type { LiveReport } from "./report/live.ts";
import { renderReport } from "./report/report.ts";
import type { ReportData } from "./report/reportData.ts";
import { makeFolder, type RunFolder } from "./runFolder.ts";
import { lockRun, type RunLock } from "./runLock.ts";
import { type LogLine, logEvent, logRow, openLogs, type ResultsRow, readEvents } from "./runLog.ts";
import { readStage1 } from "./runState.ts";
import { TensorBoard } from "./tensorBoard.ts";
import {
  addToCurves,
  emptyCurves,
  type ReportCurves,
  reportSamples,
  type Sample,
  samplesWithDetections,
} from "./trainReport.ts";

/** What a run folder is filled from. */
export interface RecorderOptions {
  readonly trainer: Trainer;
  readonly run: RunFolder;
  readonly val?: DatasetSplit | undefined;
  /** Of the report. */
  readonly title: string;
  /** For the report: what was mended in the data, and what became of the weights. */
  readonly notes?: readonly string[];
  readonly leftOut: LeftOut;
  /** Is shown the report after all that happens, as it is when asked for. */
  readonly live?: Pick<LiveReport, "show"> | undefined;
}

/** Puts what happens in a run into its folder: log, results, weights, state and report. */
export class RunRecorder {
  readonly #options: RecorderOptions;
  readonly #lock: RunLock;
  readonly #background = new Background();
  /** The best state of stage 1 so far, until it is written together with the epoch that it came of. */
  #best: Uint8Array | undefined;
  #board: TensorBoard | undefined;
  readonly #curves: ReportCurves = emptyCurves();
  /** What the report shows of the last evaluation. */
  #evaluated: Pick<ReportData, "evaluation" | "mistakes" | "images"> = { images: [] };
  /** What the log says of images that are left out. */
  readonly #leftOut = new Set<unknown>();
  #samples: readonly Sample[] = [];

  private constructor(options: RecorderOptions, lock: RunLock) {
    this.#options = options;
    this.#lock = lock;
  }

  /**
   * Takes the folder for this process, and begins the log, or, for a trainer that has done steps, cuts it back to where that
   * stands. @throws RunFolderError while another process has it
   */
  static async open(options: RecorderOptions): Promise<RunRecorder> {
    const lock = await lockRun(options.run);
    const recorder = new RunRecorder(options, lock);
    try {
      await recorder.#begin();
      return recorder;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const { run, trainer, val } = this.#options;
    await makeFolder(dirname(run.state));
    for (const folder of [run.path, dirname(run.state)]) await removeTemporaries(folder);
    await openLogs(run, trainer.progress.step > 0 ? trainer.progress : undefined);
    for (const line of await readEvents(run.events)) this.#learn(line);
    if (trainer.fit) await this.#write({ kind: "weights", epoch: 0, step: 0, ...trainer.fit });
    await writeFileAtomic(run.config, stringify(trainer.config));
    await writeFileAtomic(run.environment, `${JSON.stringify(environment(trainer.backend), null, 2)}\n`);
    this.#board = await TensorBoard.open(run.tensorBoard, trainer.progress.step);
    if (val) this.#samples = await reportSamples(val, trainer.config.train.limits);
  }

  /** What was found of a process that was at work in the folder before and did not end in order. */
  get note(): string | undefined {
    return this.#lock.note;
  }

  /** The best state of stage 1 in the folder, for `trainLoop`. */
  get bestState(): BestState {
    const { run } = this.#options;
    return {
      save: async (state) => {
        this.#best = state;
      },
      load: async () => {
        await this.#background.end();
        return await readStage1(run);
      },
    };
  }

  /** Ends the work in the folder: everything is on the disk, and others may go on with it. @throws FileWriteError */
  async close(): Promise<void> {
    try {
      await this.#background.end();
    } finally {
      await this.#lock.release();
    }
  }

  /**
   * Writes down what happened. The log is on the disk when this is done; weights and states are copied, and written while
   * training goes on.
   * @throws FileWriteError, also for what was begun before
   */
  async take(event: TrainEvent): Promise<void> {
    await this.#board?.take(event);
    await this.#record(event);
    this.#options.live?.show(() => this.#reportData());
  }

  async #record(event: TrainEvent): Promise<void> {
    switch (event.kind) {
      case "step":
        return await this.#step(event);
      case "epoch":
        return await this.#epoch(event);
      case "stage":
      case "recovery":
        return await this.#write({ ...event });
      default:
        event satisfies never;
    }
  }

  /** Takes down a line that is in the log. */
  #learn(line: LogLine): void {
    addToCurves(this.#curves, line);
    if (line.kind === "left out") this.#leftOut.add(line.message);
  }

  /** Takes down what happened in an epoch that counts from 0, as events have it, and in the log from 1. */
  async #write(event: LogLine): Promise<void> {
    const line = { ...event, epoch: event.epoch + 1 };
    this.#learn(line);
    await logEvent(this.#options.run, line);
  }

  async #step(event: StepEvent): Promise<void> {
    const { epoch, step, loss, gradientNorm, learningRate, seconds, skipped, losses, replayed } = event;
    await this.#logLeftOut(event);
    if (replayed) return;
    const numbers = { loss, gradientNorm, learningRate, seconds };
    await this.#write({ kind: "step", epoch, step, skipped, ...short(numbers), losses: short(losses) });
    if (step % this.#options.trainer.config.train.saveEvery === 0) await this.#saveState();
  }

  async #epoch(event: EpochEvent): Promise<void> {
    const { run, trainer } = this.#options;
    const { kind, epoch, step, loss, losses, evaluation, complete } = event;
    await this.#logLeftOut(event);
    const threshold = evaluation?.explanation.curves.all.best?.threshold;
    const model = await trainer.saveModel({ threshold });
    const numbered = join(run.path, "weights", `epoch${String(epoch + 1).padStart(4, "0")}.safetensors`);
    const isNumbered = complete && (epoch + 1) % trainer.config.train.checkpointEvery === 0;
    const files = [run.last, ...(event.best ? [run.best] : []), ...(isNumbered ? [numbered] : [])];
    await this.#write({
      ...{ kind, epoch, step, loss, losses: short(losses) },
      ...(evaluation ? evaluationFacts(evaluation) : {}),
    });
    await logRow(run, resultsRow(event));
    // Where this is the best epoch of stage 1, its state was copied already.
    const best = this.#best;
    this.#best = undefined;
    await this.#saveState(best, async () => {
      for (const path of files) await writeFileAtomic(path, model);
      if (best) await writeFileAtomic(run.stage1, best);
    });
    await this.#report(event);
  }

  /** Writes the state, which is copied unless it is given, after what `before` writes. */
  async #saveState(copied?: Uint8Array, before?: () => Promise<void>): Promise<void> {
    const { run, trainer } = this.#options;
    const state = copied ?? (await trainer.saveState());
    await this.#background.begin(async () => {
      await before?.();
      await writeFileAtomic(run.state, state, run.previous);
    });
  }

  async #logLeftOut({ epoch, step }: StepEvent | EpochEvent): Promise<void> {
    for (const { image, part } of this.#options.leftOut.takeNew()) {
      // A process that goes on with the run meets the same images again.
      if (this.#leftOut.has(image.message)) continue;
      await this.#write({ kind: "left out", epoch, step, part, ...image });
    }
  }

  /** Saves a run that stops here, with weights to use even inside its first epoch. */
  async stop(): Promise<void> {
    const { run, trainer } = this.#options;
    await this.#saveState();
    await this.#background.end();
    if (!existsSync(run.last)) await writeFileAtomic(run.last, await trainer.saveModel());
  }

  /** Keeps what is known about steps that were not finite, and says where. */
  async failed({ report }: NonFiniteError): Promise<string[]> {
    const { trainer, run } = this.#options;
    const about = JSON.stringify(report, printNumber, 2);
    await writeFileAtomic(join(run.path, "nonfinite.json"), `${about}\n`);
    if (report.weights.length > 0 || trainer.progress.step === trainer.progress.skipped) return [];
    const path = join(run.path, "weights", "stopped.safetensors");
    await writeFileAtomic(path, await trainer.saveModel());
    return [`the weights before these steps are saved: ${path}`];
  }

  async #report({ evaluation }: EpochEvent): Promise<void> {
    const { run, trainer, val } = this.#options;
    if (val && evaluation) {
      // Not kept: there may be a million of them.
      const { detections, ...rest } = evaluation;
      const { threshold, mistakes } = rest.explanation;
      this.#evaluated = {
        evaluation: rest,
        images: samplesWithDetections(this.#samples, { detections, threshold }, val.dataset),
        mistakes: await mistakePictures(val, { detections, mistakes }, trainer.config.train.limits),
      };
    }
    await writeFileAtomic(run.report, renderReport(this.#reportData()));
  }

  #reportData(): ReportData {
    const { title, trainer, leftOut, notes = [] } = this.#options;
    const { skipped } = trainer.progress;
    return {
      title,
      ...this.#curves,
      ...this.#evaluated,
      config: stringify(trainer.config),
      environment: environment(trainer.backend),
      notes: [
        ...notes,
        ...leftOut.notes,
        ...(skipped > 0 ? [`${skipped} steps were skipped because they were not finite`] : []),
      ],
    };
  }
}

/** What the log keeps of an evaluation. */
function evaluationFacts({ result, explanation, layers }: Evaluation) {
  const { stats, perCategory } = result;
  const { best } = explanation.curves.all;
  return { stats, perCategory, ...(best ? { best } : {}), ...(layers ? { layers: layers.map(({ AP }) => AP) } : {}) };
}

function resultsRow({ epoch, step, seconds, loss, losses, learningRate, skipped, evaluation }: EpochEvent): ResultsRow {
  return {
    ...short(losses),
    ...{ epoch: epoch + 1, step, seconds: Math.round(seconds), loss: Number(loss.toPrecision(6)) },
    ...{ learning_rate: learningRate, skipped },
    ...evaluation?.result.stats,
  };
}

/** Six digits are plenty for a log of some fifty terms a step. */
function short(numbers: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, Number(value.toPrecision(6))]));
}

/** JSON has no NaN and no infinity, and here they are the point. */
const printNumber = (_: string, value: unknown): unknown =>
  typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
