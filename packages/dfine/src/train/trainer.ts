import { constant, readNamed, type Schedule, warmupSchedule } from "@dfine/nn";
import { type Backend, DeviceLostError, OutOfMemoryError, OwnershipError, Random, withBackend } from "@dfine/tensor";
import { loadBackbone } from "../checkpoint/backbone.ts";
import { type FitReport, loadCheckpoint } from "../checkpoint/fit.ts";
import { type ModelDescription, writeModelFile } from "../checkpoint/modelFile.ts";
import type { Config } from "../config/config.ts";
import type { CocoDataset } from "../data/dataset.ts";
import { continueTurns, inTurn } from "../deviceQueue.ts";
import { buildDetector } from "../model/architectures.ts";
import type { Detector } from "../model/detector.ts";
import * as rule from "../optionRules.ts";
import { modelPredictor } from "../predictor.ts";
import { tensorSources } from "../tensorFile.ts";
import type { BatchSource, TrainingBatch } from "./batch.ts";
import { checkBatch } from "./checkBatch.ts";
import { DeviceState } from "./deviceState.ts";
import { type EvaluateOptions, type Evaluation, evaluate } from "./evaluate.ts";
import { adviseOnMemory } from "./memoryAdvice.ts";
import { NonFiniteWeightsError, nonFiniteNames } from "./nonFinite.ts";
import { startProgress, type TrainProgress } from "./progress.ts";
import { type LearnedFrom, readTrainState, type TrainStateValues, writeTrainState } from "./stateFile.ts";
import { type CreateTrainerOptions, TRAINER_OPTIONS, type TrainerOptions } from "./trainerOptions.ts";
import { compileStep, type StepResult, trainStep } from "./trainStep.ts";
import { measureStep, type PassCost } from "./trialPass.ts";

const emptyModel = (config: Config, backend: Backend): Detector =>
  withBackend(backend, () => buildDetector(config.model));

/**
 * A model in training with its average, optimiser and position. Everything that later steps depend on is in `saveState`;
 * shuffling and noise are functions of seed, epoch and step. Calls may overlap: steps and saved states take turns.
 */
export class Trainer implements Disposable {
  readonly config: Config;
  readonly progress: TrainProgress;
  /** What `takeUpData` has seen last; undefined before the first epoch. */
  learnedFrom: LearnedFrom | undefined;
  /** How the weights that it starts from came into the model; undefined where it starts from none. */
  readonly fit: FitReport | undefined;
  readonly #reviveBackend: TrainerOptions["reviveBackend"];
  #backend: Backend;
  /** Undefined once the device is lost, until another has taken its place. */
  #onDevice: DeviceState | undefined;
  #snapshot: TrainStateValues | undefined;
  #isDisposed = false;

  private constructor(options: TrainerOptions, model: Detector, fit: FitReport | undefined) {
    this.config = options.config;
    this.fit = fit;
    this.progress = startProgress();
    this.#reviveBackend = options.reviveBackend;
    this.#backend = options.backend;
    this.#onDevice = withBackend(options.backend, () => new DeviceState(model, options.config.train));
  }

  /** Where it computes: another backend after each lost device. */
  get backend(): Backend {
    return this.#backend;
  }

  /** The model in training: another object after each lost device. */
  get model(): Detector {
    return this.#live.model;
  }

  get #live(): DeviceState {
    if (this.#isDisposed) throw new OwnershipError("trainer: it was disposed");
    if (this.#onDevice) return this.#onDevice;
    throw new DeviceLostError(
      "trainer: its device is lost and was not replaced; call recover(), or restore a saved state",
    );
  }

  /** Whether a lost device can be replaced. */
  get isRecoverable(): boolean {
    return this.#reviveBackend !== undefined;
  }

  /**
   * Starts a run: weights as PyTorch initialises them, the backbone's those of `backbone`, or all those of the checkpoint `initial`. Of other classes than the
   * configuration's, heads start fresh but for the rows of classes that both sides name; `fit` tells of it.
   * @throws ModelFileError, SafetensorsError, ArgumentError for options
   */
  static async create(options: CreateTrainerOptions): Promise<Trainer> {
    rule.checkOptions("Trainer.create", options, { ...TRAINER_OPTIONS, initial: rule.thing, backbone: rule.thing });
    const { config, initial, backbone } = options;
    const prepare = async (model: Detector) => {
      model.initialize(new Random(config.train.seed).fork("weights"));
      if (backbone) loadBackbone(model, backbone);
      return initial && (await loadCheckpoint(model, initial));
    };
    return await Trainer.#begin(options, prepare, (trainer) => trainer.snapshot());
  }

  /** Goes on where `saveState` was called. @throws ModelFileError, StateDictError, ArgumentError for options */
  static async restore(state: Uint8Array, options: TrainerOptions & { readonly file?: string }): Promise<Trainer> {
    rule.checkOptions("Trainer.restore", options, { ...TRAINER_OPTIONS, file: rule.text });
    const prepare = async () => undefined;
    return await Trainer.#begin(options, prepare, (trainer) => trainer.restoreState(state, options.file));
  }

  static async #begin(
    options: TrainerOptions,
    prepare: (model: Detector) => Promise<FitReport | undefined>,
    start: (trainer: Trainer) => Promise<void>,
  ): Promise<Trainer> {
    const model = emptyModel(options.config, options.backend);
    let made: Disposable = model;
    try {
      const trainer = new Trainer(options, model, await prepare(model));
      made = trainer;
      await start(trainer);
      return trainer;
    } catch (error) {
      made[Symbol.dispose]();
      throw error;
    }
  }

  /** Base learning rate of a step counted from 0. */
  learningRate(step: number, stepsPerEpoch: number): number {
    return this.config.train.optimizer.learningRate * this.#schedule(stepsPerEpoch)(step);
  }

  #schedule(stepsPerEpoch: number): Schedule {
    const { epoch, step, stepInEpoch } = this.progress;
    const { schedule, epochs } = this.config.train;
    return warmupSchedule(schedule, { stepsPerEpoch, epochs, shift: step - stepInEpoch - epoch * stepsPerEpoch });
  }

  /**
   * Learns from one batch. A step whose loss or gradient is not finite changes nothing and is counted.
   * @throws NonFiniteError after several such steps in a row; BatchError for targets that make no sense; OutOfMemoryError
   * saying which batch would fit; DeviceLostError, after which only `recover` goes on
   */
  async step(batch: TrainingBatch, stepsPerEpoch: number): Promise<StepResult> {
    checkBatch(batch, this.config.model);
    return await this.#inTurn(async () => {
      const state = this.#live;
      const { config, progress } = this;
      const context = { config, progress, schedule: this.#schedule(stepsPerEpoch) };
      try {
        if (!state.isCompiled) await compileStep(state, batch, context);
        return await trainStep(state, batch, context);
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error;
        throw await adviseOnMemory(error, batch, { state, context });
      }
    });
  }

  /**
   * Finds out what a step on such a batch takes, by trying twice, since the first try compiles kernels. Nothing is learned.
   * @throws OutOfMemoryError
   */
  async measure(batch: TrainingBatch): Promise<PassCost> {
    const { config, progress } = this;
    return await this.#inTurn(() => measureStep(this.#live, batch, { config, progress, schedule: constant() }));
  }

  /** Runs what must not be interrupted by another step or saved state. @throws OwnershipError when disposed meanwhile */
  async #inTurn<T>(task: () => T | Promise<T>): Promise<T> {
    try {
      return await inTurn(this.#backend, task);
    } catch (error) {
      if (!this.#isDisposed) throw error;
      throw new OwnershipError("trainer: it was disposed before this call ended", { cause: error });
    }
  }

  /** COCO evaluation of the averaged weights, layer by layer too. */
  async evaluate(
    source: BatchSource,
    dataset: CocoDataset,
    options: Pick<EvaluateOptions, "signal"> = {},
  ): Promise<Evaluation> {
    using model = await this.#inTurn(() => this.#averaged());
    const predict = modelPredictor(model, this.backend, { everyLayer: true });
    return await evaluate(predict, source, { dataset, ...options });
  }

  #averaged(): Detector {
    const { averages } = this.#live;
    return withBackend(this.backend, () => {
      const model = buildDetector(this.config.model);
      model.loadStateDict(averages);
      return model.freeze().eval();
    });
  }

  /**
   * The averaged weights as a file that `DFine.fromPretrained` opens; on a lost device those of the last snapshot. `threshold`
   * is the lowest score that counts, from an evaluation of them.
   * @throws NonFiniteWeightsError
   */
  async saveModel({ threshold }: Pick<ModelDescription, "threshold"> = {}): Promise<Uint8Array> {
    const { preset, model } = this.config;
    const averages = await this.#orSnapshot(
      (state) => readNamed(state.averages),
      ({ ema, model }) => (ema.size > 0 ? ema : model),
    );
    const broken = this.#onDevice ? nonFiniteNames(averages, this.#onDevice.model) : [];
    if (broken.length > 0) throw new NonFiniteWeightsError(broken);
    return writeModelFile(tensorSources(averages), { preset, model, threshold });
  }

  /** Everything that later steps depend on, as bytes; on a lost device as it was at the last snapshot. */
  async saveState(): Promise<Uint8Array> {
    const values = await this.#orSnapshot(
      (state) => state.read(this.progress),
      (snapshot) => snapshot,
    );
    return writeTrainState({ ...values, learnedFrom: this.learnedFrom, config: this.config });
  }

  /** Reads from the device, or where it is lost from the last snapshot. @throws DeviceLostError where there is none */
  async #orSnapshot<T>(
    read: (state: DeviceState) => Promise<T>,
    recall: (snapshot: TrainStateValues) => T,
  ): Promise<T> {
    return await this.#inTurn(async () => {
      try {
        return await read(this.#live);
      } catch (error) {
        if (!(error instanceof DeviceLostError) || !this.#snapshot) throw error;
        return recall(this.#snapshot);
      }
    });
  }

  /** Puts back what `saveState` gave. @throws ModelFileError, StateDictError for another model's */
  async restoreState(bytes: Uint8Array, file?: string): Promise<void> {
    const values = readTrainState(bytes, file);
    await this.#inTurn(() => {
      this.#live.write(values);
      this.#moveTo(values);
      this.learnedFrom = values.learnedFrom;
      if (this.isRecoverable) this.#snapshot = values;
    });
  }

  /**
   * Takes weights, averages and moments from what `saveState` gave, of this run, and gives where that stood; the steps are
   * counted on. @throws ModelFileError, StateDictError for another model's
   */
  async goBackTo(bytes: Uint8Array, file?: string): Promise<TrainProgress> {
    const values = readTrainState(bytes, file);
    await this.#inTurn(() => this.#live.write(values));
    return values.progress;
  }

  /** Steps done at the last snapshot. */
  get snapshotStep(): number {
    return this.#snapshot?.progress.step ?? 0;
  }

  /**
   * Copies the state to the host, where `recover` finds it: some 16 bytes per parameter, twice that while it copies. Does
   * nothing without `reviveBackend`.
   * @throws DeviceLostError, keeping the snapshot before
   */
  async snapshot(): Promise<void> {
    if (!this.isRecoverable) return;
    await this.#inTurn(async () => {
      this.#snapshot = await this.#live.read(this.progress);
    });
  }

  /**
   * Replaces a lost device, and goes back to the last snapshot; the first one is the start. `progress` says which step comes
   * next.
   * @throws DeviceLostError when the new device is lost too, or there is no `reviveBackend`
   */
  async recover(): Promise<void> {
    await this.#inTurn(async () => {
      const snapshot = this.#snapshot;
      if (!this.#reviveBackend || !snapshot)
        throw new DeviceLostError("trainer: a lost device can't be replaced; give reviveBackend to Trainer.create");
      this.#onDevice?.[Symbol.dispose]();
      this.#onDevice = undefined;
      const lost = this.#backend;
      this.#backend = await this.#reviveBackend(lost);
      continueTurns(lost, this.#backend);
      if (this.#isDisposed) throw new OwnershipError("trainer: it was disposed");
      const model = emptyModel(this.config, this.#backend);
      const state = withBackend(this.#backend, () => new DeviceState(model, this.config.train));
      state.write(snapshot);
      this.#onDevice = state;
      this.#moveTo(snapshot);
    });
  }

  #moveTo({ progress }: Pick<TrainStateValues, "progress">): void {
    Object.assign(this.progress, structuredClone(progress));
  }

  /** Frees model, average and optimiser; the backend stays. Calls that have not ended reject. */
  dispose(): void {
    this.#isDisposed = true;
    this.#onDevice?.[Symbol.dispose]();
  }
  /** Same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
