import { type AdamW, clipCoefficient, Ema, globalNorm, readNamed, type Schedule, warmupMultiStep } from "@dfine/nn";
import { type Backend, backward, Random, readTensors, scope, tensor, withBackend } from "@dfine/tensor";
import { type FitReport, loadCheckpoint } from "../checkpoint/fit.ts";
import { writeModelFile } from "../checkpoint/modelFile.ts";
import type { Checkpoint } from "../checkpoint/open.ts";
import type { Config } from "../config/config.ts";
import type { CocoDataset } from "../data/coco.ts";
import { criterion } from "../loss/criterion.ts";
import { denoisingQueries } from "../model/denoising.ts";
import { DFineModel } from "../model/dfineModel.ts";
import { modelPredictor } from "../predictor.ts";
import { tensorSources } from "../tensorFile.ts";
import type { BatchSource, TrainingBatch } from "./batch.ts";
import { BufferBackup } from "./bufferBackup.ts";
import { stepDraws } from "./draws.ts";
import { type Evaluation, evaluate } from "./evaluate.ts";
import { NonFiniteError, nonFiniteReport } from "./nonFinite.ts";
import { makeOptimizer } from "./optimizer.ts";
import { countStep, startProgress, type TrainProgress, totalLoss } from "./progress.ts";
import { readTrainState, writeTrainState } from "./stateFile.ts";

export interface TrainerOptions {
  readonly config: Config;
  /** Stays the caller's. */
  readonly backend: Backend;
}

export interface StepResult {
  /** Weighted terms by the official names, in D-FINE's order. */
  readonly losses: Record<string, number>;
  readonly loss: number;
  /** Global L2 norm of the gradients before clipping. */
  readonly gradientNorm: number;
  /** Loss or gradient was not finite, and nothing was updated. */
  readonly skipped: boolean;
}

/** Steps in a row without finite loss and gradient after which training stops. */
const MOST_SKIPPED = 5;

/**
 * A model in training with its average, optimiser and position. Everything that later steps depend on is in `saveState`;
 * shuffling and noise are functions of seed, epoch and step.
 */
export class Trainer implements Disposable {
  readonly config: Config;
  readonly backend: Backend;
  readonly model: DFineModel;
  readonly progress: TrainProgress;
  readonly #ema: Ema;
  readonly #optimizer: AdamW;
  readonly #buffers: BufferBackup;

  private constructor(options: TrainerOptions, model: DFineModel) {
    this.config = options.config;
    this.backend = options.backend;
    this.model = model.train();
    this.progress = startProgress();
    this.#ema = new Ema(model.stateDict(), options.config.train.ema);
    this.#optimizer = makeOptimizer(model, options.config.train.optimizer);
    this.#buffers = new BufferBackup(model);
  }

  /**
   * Starts a run: weights as PyTorch initialises them, or those of the checkpoint `initial`. Of other classes than the
   * configuration's, heads start fresh but for the rows of classes that both sides name; `onFit` is told.
   * @throws ModelFileError, SafetensorsError
   */
  static async create(
    options: TrainerOptions & { readonly initial?: Checkpoint; readonly onFit?: (report: FitReport) => void },
  ): Promise<Trainer> {
    const { config, backend, initial, onFit } = options;
    const random = new Random(config.train.seed).fork("weights");
    const model = withBackend(backend, () => new DFineModel(config.model).initialize(random));
    try {
      if (initial) {
        const report = await loadCheckpoint(model, initial);
        onFit?.(report);
      }
      return withBackend(backend, () => new Trainer(options, model));
    } catch (error) {
      model.dispose();
      throw error;
    }
  }

  /** Goes on where `saveState` was called. @throws ModelFileError, StateDictError */
  static async restore(state: Uint8Array, options: TrainerOptions & { readonly file?: string }): Promise<Trainer> {
    return withBackend(options.backend, () => {
      const trainer = new Trainer(options, new DFineModel(options.config.model));
      trainer.restoreState(state, options.file);
      return trainer;
    });
  }

  /** Base learning rate of a step counted from 0. */
  learningRate(step: number, stepsPerEpoch: number): number {
    return this.config.train.optimizer.learningRate * this.#schedule(stepsPerEpoch)(step);
  }

  #schedule(stepsPerEpoch: number): Schedule {
    return warmupMultiStep({ ...this.config.train.schedule, stepsPerEpoch });
  }

  /**
   * Learns from one batch. A step whose loss or gradient is not finite changes nothing and is counted.
   * @throws NonFiniteError after several such steps in a row
   */
  step(batch: TrainingBatch, stepsPerEpoch: number): Promise<StepResult> {
    return withBackend(this.backend, () => scope("train step", () => this.#step(batch, stepsPerEpoch)));
  }

  async #step(batch: TrainingBatch, stepsPerEpoch: number): Promise<StepResult> {
    const { model, config, progress } = this;
    const { optimizer } = config.train;
    this.#buffers.take();
    const outputs = model.trainingOutputs(tensor(batch.images, batch.shape), { denoising: this.#denoising(batch) });
    const result = await criterion(outputs, batch.targets, {
      config: config.criterion,
      weighting: config.model.decoder,
    });
    backward(result.total);
    const [terms, norms] = await readTensors([result.values, globalNorm(this.#optimizer.gradients())]);
    const gradientNorm = norms![0]!;
    const byName = new Map(result.names.map((name, i) => [name, terms![i]!]));
    const losses = Object.fromEntries([...result.losses.keys()].map((name) => [name, byName.get(name)!]));
    const loss = totalLoss(losses);
    const skipped = !Number.isFinite(loss) || !Number.isFinite(gradientNorm);
    const rateFactor = this.#schedule(stepsPerEpoch)(progress.step);
    if (skipped) this.#buffers.putBack();
    else {
      this.#optimizer.step({ rateFactor, gradientFactor: clipCoefficient(gradientNorm, optimizer.clipMaxNorm) });
      this.#ema.update(model.stateDict());
    }
    this.#optimizer.zeroGrad();
    countStep(progress, skipped ? undefined : losses);
    if (progress.skippedInARow >= MOST_SKIPPED) {
      const { step, epoch } = progress;
      const learningRate = optimizer.learningRate * rateFactor;
      const report = nonFiniteReport(batch, { step, epoch, learningRate, losses, gradientNorm });
      throw new NonFiniteError(report, progress.skippedInARow);
    }
    return { losses, loss, gradientNorm, skipped };
  }

  #denoising(batch: TrainingBatch) {
    const { model, train } = this.config;
    if (model.denoising.numDenoising === 0) return undefined;
    const draws = stepDraws(train.seed, this.progress.step);
    return denoisingQueries(batch.targets, { ...model.denoising, classes: model.classes.length, draws });
  }

  /** COCO evaluation of the averaged weights. */
  async evaluate(
    source: BatchSource,
    dataset: CocoDataset,
    options: { signal?: AbortSignal } = {},
  ): Promise<Evaluation> {
    using model = this.#averaged();
    return await evaluate(modelPredictor(model, this.backend), source, { dataset, ...options });
  }

  #averaged(): DFineModel {
    return withBackend(this.backend, () => {
      const model = new DFineModel(this.config.model);
      model.loadStateDict(this.#ema.entries);
      return model.freeze().eval();
    });
  }

  /** The averaged weights as a file that `DFine.fromPretrained` opens. */
  async saveModel(): Promise<Uint8Array> {
    const { preset, model } = this.config;
    return writeModelFile(await tensorSources(this.#ema.entries), { preset, model });
  }

  /** Everything that later steps depend on, as bytes. */
  async saveState(): Promise<Uint8Array> {
    const ema = await this.#ema.save();
    return writeTrainState({
      model: await readNamed(this.model.stateDict()),
      ...{ ema: ema.entries, emaUpdates: ema.updates },
      optimizer: await this.#optimizer.save(),
      progress: this.progress,
    });
  }

  /** Puts back what `saveState` gave. @throws ModelFileError, StateDictError for another model's */
  restoreState(bytes: Uint8Array, file?: string): void {
    const state = readTrainState(bytes, file);
    this.model.loadStateDict(state.model);
    this.#ema.restore({ entries: state.ema, updates: state.emaUpdates });
    this.#optimizer.restore(state.optimizer);
    Object.assign(this.progress, state.progress);
  }

  /** Frees model, average and optimiser; the backend stays. */
  dispose(): void {
    this.model.dispose();
    this.#ema.dispose();
    this.#optimizer.dispose();
    this.#buffers.dispose();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}
