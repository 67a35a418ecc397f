import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "../config/yaml.ts";
import type { EpochEvent, StepEvent, TrainEvent } from "../train/events.ts";
import type { NonFiniteError } from "../train/nonFinite.ts";
import type { Trainer } from "../train/trainer.ts";
import { writeFileAtomic } from "./checkpointFile.ts";
import type { DatasetSplit } from "./data/loadDataYaml.ts";
import { environment } from "./environment.ts";
import type { LeftOut } from "./leftOut.ts";
import { renderReport } from "./report/report.ts";
import { makeFolder, type RunFolder } from "./runFolder.ts";
import { type LogLine, logEvent, logRow, openLogs, type ResultsRow, readEvents } from "./runLog.ts";
import { addToCurves, type ReportCurves, reportSamples, type Sample, samplesWithDetections } from "./trainReport.ts";

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
}

/** Puts what happens in a run into its folder: log, results, weights, state and report. */
export class RunRecorder {
  readonly #options: RecorderOptions;
  readonly #curves: ReportCurves = { steps: [], epochs: [] };
  #samples: readonly Sample[] = [];

  private constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Begins the log, or, for a trainer that has done steps, cuts it back to where that stands. */
  static async open(options: RecorderOptions): Promise<RunRecorder> {
    const { run, trainer, val } = options;
    const recorder = new RunRecorder(options);
    await makeFolder(dirname(run.state));
    await openLogs(run, trainer.progress.step > 0 ? trainer.progress : undefined);
    for (const line of await readEvents(run.events)) addToCurves(recorder.#curves, line);
    if (trainer.fit) await recorder.#write({ kind: "weights", epoch: 0, step: 0, ...trainer.fit });
    await writeFileAtomic(run.config, stringify(trainer.config));
    await writeFileAtomic(run.environment, `${JSON.stringify(environment(trainer.backend), null, 2)}\n`);
    if (val) recorder.#samples = await reportSamples(val, trainer.config.train.limits);
    return recorder;
  }

  /** Writes down what happened; everything is on the disk when this is done. */
  async take(event: TrainEvent): Promise<void> {
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

  async #write(line: LogLine): Promise<void> {
    addToCurves(this.#curves, line);
    await logEvent(this.#options.run, line);
  }

  async #step(event: StepEvent): Promise<void> {
    const { epoch, step, loss, gradientNorm, learningRate, seconds, skipped, losses, replayed } = event;
    await this.#logLeftOut(event);
    if (replayed) return;
    const numbers = { loss, gradientNorm, learningRate, seconds };
    await this.#write({ kind: "step", epoch, step, skipped, ...short(numbers), losses: short(losses) });
  }

  async #epoch(event: EpochEvent): Promise<void> {
    const { run, trainer } = this.#options;
    const { kind, epoch, step, loss, losses, evaluation, complete } = event;
    await this.#logLeftOut(event);
    const model = await trainer.saveModel();
    await writeFileAtomic(run.last, model);
    if (event.best) await writeFileAtomic(run.best, model);
    if (complete && (epoch + 1) % trainer.config.train.checkpointEvery === 0)
      await writeFileAtomic(join(run.path, "weights", `epoch${String(epoch + 1).padStart(4, "0")}.safetensors`), model);
    await this.#write({
      ...{ kind, epoch, step, loss, losses: short(losses) },
      ...(evaluation ? { stats: evaluation.result.stats, perCategory: evaluation.result.perCategory } : {}),
    });
    await logRow(run, resultsRow(event));
    await writeFileAtomic(run.state, await trainer.saveState());
    await this.#report(event);
  }

  async #logLeftOut({ epoch, step }: StepEvent | EpochEvent): Promise<void> {
    for (const { image, part } of this.#options.leftOut.takeNew())
      await this.#write({ kind: "left out", epoch, step, part, ...image });
  }

  /** Saves a run that stops here, with weights to use even inside its first epoch. */
  async stop(): Promise<void> {
    const { run, trainer } = this.#options;
    await writeFileAtomic(run.state, await trainer.saveState());
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
    const { title, run, trainer, val, leftOut, notes = [] } = this.#options;
    const { skipped } = trainer.progress;
    const html = renderReport({
      title,
      ...this.#curves,
      evaluation: evaluation?.result,
      images: val && evaluation ? samplesWithDetections(this.#samples, evaluation.detections, val.dataset) : [],
      config: stringify(trainer.config),
      environment: environment(trainer.backend),
      notes: [
        ...notes,
        ...leftOut.notes,
        ...(skipped > 0 ? [`${skipped} steps were skipped because they were not finite`] : []),
      ],
    });
    await writeFileAtomic(run.report, html);
  }
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
