import { basename, dirname, resolve } from "node:path";
import { Command } from "commander";
import type { FitReport } from "../../checkpoint/fit.ts";
import { fitLines } from "../../checkpoint/fitText.ts";
import { type Checkpoint, openCheckpoint } from "../../checkpoint/open.ts";
import { type Config, ConfigError, type PresetName } from "../../config/config.ts";
import { presetConfig } from "../../config/presets.ts";
import { type ConfigOptions, resolveConfig } from "../../config/resolve.ts";
import { summarizeDataset } from "../../data/summary.ts";
import { Trainer, type TrainerOptions } from "../../train/trainer.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import { checkImages } from "../data/checkImages.ts";
import { readText } from "../data/readCoco.ts";
import { absoluteDataFiles, type DataFiles, type Datasets, loadDatasets, readDataFiles } from "../datasets.ts";
import { readBytes, readWeights } from "../files.ts";
import { parseRunConfig } from "../runConfig.ts";
import { createRunFolder, openRunFolder, type RunFolder } from "../runFolder.ts";
import { runTraining } from "../trainRun.ts";
import { EXIT, UsageError } from "./exit.ts";
import { HeldDevice } from "./heldDevice.ts";
import { watchInterrupt } from "./interrupt.ts";
import {
  batchOption,
  type DataOptionValues,
  type DeviceOptionValues,
  deviceOptions,
  emaOption,
  folderOptions,
  maxPixelsOption,
  modelOption,
  type OutputOptionValues,
  positiveNumber,
  sizeOption,
  talkOptions,
  trainDataFiles,
  trainDataOptions,
  weightsOption,
  wholeNumber,
} from "./options.ts";
import { completeOverrides } from "./overrides.ts";
import { Terminal } from "./terminal.ts";

interface TrainValues extends DataOptionValues, DeviceOptionValues, OutputOptionValues {
  /** Undefined where nothing was said. */
  readonly model?: PresetName;
  readonly size?: [number, number];
  readonly epochs?: number;
  readonly steps?: number;
  readonly batch?: number;
  readonly lr?: number;
  readonly backboneLr?: number;
  readonly seed?: number;
  readonly maxPixels?: number;
  readonly weights?: string;
  readonly ema: boolean;
  readonly resume?: string;
}

/** Options that may change when a run goes on: none of them changes the weights it ends with, but for where it ends. */
const FREE_ON_RESUME = new Set(["resume", "device", "threads", "steps", "epochs", "json", "quiet"]);

export function trainCommand(finish: (code: number) => void): Command {
  const command = new Command("train")
    .description("train a model on images with COCO annotations")
    .argument("[overrides...]", "any configuration key, as ema.decay=0.998 or model.decoder.numQueries=100");
  for (const option of trainDataOptions()) command.addOption(option);
  command
    .addOption(modelOption("model size (default: that of --weights, or n)"))
    .addOption(sizeOption("input size in pixels, SIDE or HEIGHTxWIDTH (default: that of --weights, or 640)"))
    .option("--epochs <count>", "passes over the training data", wholeNumber(1))
    .option("--steps <count>", "end after this many steps in all", wholeNumber(1))
    .addOption(batchOption("images per step"))
    .option("--lr <rate>", "learning rate", positiveNumber)
    .option("--backbone-lr <rate>", "learning rate of the backbone", positiveNumber)
    .addOption(
      weightsOption("weights to start from (.pth, Hugging Face or our own); heads of other classes start fresh"),
    )
    .addOption(emaOption())
    .option("--seed <number>", "chooses initial weights, order and noise", wholeNumber(0))
    .addOption(maxPixelsOption())
    .option("--resume <run>", "go on with the run in this folder, exactly where it stood");
  for (const option of [...deviceOptions(), ...folderOptions(), ...talkOptions()]) command.addOption(option);
  return command.action(async (overrides: string[], values: TrainValues) => {
    if (values.resume !== undefined) refuseOnResume(command, overrides);
    finish(await train(values, overrides));
  });
}

/** @throws UsageError for options that a resumed run takes from its folder */
function refuseOnResume(command: Command, overrides: readonly string[]): void {
  const given = command.options.filter(
    (option) =>
      command.getOptionValueSource(option.attributeName()) === "cli" && !FREE_ON_RESUME.has(option.attributeName()),
  );
  const names = [...given.map(({ long }) => long), ...overrides];
  if (names.length > 0)
    throw new UsageError(`--resume goes on with the run's own configuration and data; leave out ${names.join(", ")}`);
}

async function train(values: TrainValues, overrides: readonly string[]): Promise<number> {
  const terminal = new Terminal(values);
  const job = values.resume === undefined ? await freshJob(values, overrides) : await resumedJob(values.resume, values);
  const { config, datasets } = job;
  const summary = summarizeDataset(datasets.train!.dataset, { size: config.model.evalSize });
  const notes = [...summary.notes.map((note) => `data: ${note}`), ...job.notes];
  for (const note of notes) terminal.note(note);
  if (summary.boxes === 0) terminal.warn("the training data has no boxes: the model will learn to find nothing");
  await checkImages(datasets.train!);
  if (datasets.val) await checkImages(datasets.val);
  if (!datasets.val) terminal.warn("no validation data: nothing is evaluated, and best.safetensors is the last epoch");
  using device = await HeldDevice.open(values);
  using interrupt = watchInterrupt(() =>
    terminal.warn("stopping after this step; press Ctrl-C again to stop at once, without saving"),
  );
  let fit: FitReport | undefined;
  using trainer = await job.makeTrainer(device.forTrainer, (report) => {
    fit = report;
  });
  const fitted = fit ? fitLines(fit) : [];
  for (const line of fitted) terminal.note(`weights: ${line}`);
  if (fit) terminal.data({ kind: "weights", ...fit });
  const run = job.run ?? (await startRun(values, job.dataFiles));
  terminal.note(`run folder: ${run.path}`);
  const outcome = await runTraining({
    ...{ trainer, run, terminal, interrupt, fit },
    notes: [...notes, ...fitted],
    train: datasets.train!,
    val: datasets.val,
    title: `D-FINE-${config.preset.toUpperCase()} · ${basename(run.path)}`,
    maxSteps: values.steps,
    resumed: job.run !== undefined,
  });
  if (outcome.interrupted) {
    terminal.note(`saved; go on with: dfine train --resume ${run.path}`);
    return EXIT.interrupted;
  }
  const { best } = trainer.progress;
  terminal.data({ kind: "done", run: run.path, report: run.report, best });
  terminal.say(`weights: ${run.best}\nreport:  ${run.report}`);
  return EXIT.ok;
}

/** What to train, before any run folder is made. */
interface Job {
  readonly config: Config;
  readonly datasets: Datasets;
  readonly dataFiles: DataFiles;
  readonly makeTrainer: (
    device: Omit<TrainerOptions, "config">,
    onFit: (report: FitReport) => void,
  ) => Promise<Trainer>;
  /** What the user should know about the choices made. */
  readonly notes: readonly string[];
  /** The folder of a run that goes on. */
  readonly run?: RunFolder;
}

async function freshJob(given: TrainValues, overrides: readonly string[]): Promise<Job> {
  const dataFiles = trainDataFiles(given);
  const completed = completeOverrides(overrides);
  if (given.weights === undefined && !given.ema)
    throw new UsageError("--no-ema chooses among the weights of a file; give one with --weights, or leave it out");
  const initial = given.weights === undefined ? undefined : await openWeights(given.weights, given);
  const { values, notes } = withBatch({ ...given, model: given.model ?? initial?.preset ?? "n" }, completed);
  // A wrong key or value is said before any data is read.
  const { preset } = resolveConfig(configOptions(values, { classes: ["any"], initial }), completed);
  if (initial && initial.preset !== preset)
    throw new ConfigError(
      `configuration: ${initial.file} holds weights of preset ${initial.preset}, not ${preset}; leave the preset out`,
    );
  const datasets = await loadDatasets(dataFiles, ["train"]);
  const classes = datasets.train!.dataset.categories.map(({ name }) => name);
  const config = resolveConfig(configOptions(values, { classes, initial }), completed);
  if (config.model.classes.length !== classes.length)
    throw new ConfigError(
      `configuration: model.classes has ${config.model.classes.length} names, the annotations have ${classes.length}; leave model.classes out`,
    );
  return {
    ...{ config, datasets, dataFiles, notes },
    makeTrainer: (device, onFit) => Trainer.create({ config, ...device, onFit, ...(initial ? { initial } : {}) }),
  };
}

async function openWeights(place: string, { ema, size }: Pick<TrainValues, "ema" | "size">): Promise<Checkpoint> {
  const { bytes, ...about } = await readWeights(place);
  return openCheckpoint(bytes, { ...about, size, ...(ema ? {} : { ema }) });
}

/** Images per step where nothing is said. */
const MODEST_BATCH = 8;

/**
 * Presets are made for batches on four GPUs. Without a batch of the user's own it is a modest one, and rates that the user
 * did not give shrink with its square root, as suits Adam.
 */
function withBatch(
  values: TrainValues & { readonly model: PresetName },
  overrides: readonly string[],
): { values: TrainValues; notes: string[] } {
  if (values.batch !== undefined || overrides.some((text) => text.startsWith("train.batch=")))
    return { values, notes: [] };
  const { batch, optimizer } = presetConfig(values.model).train;
  const scaled = (rate: number) => Number((rate * Math.sqrt(MODEST_BATCH / batch)).toPrecision(2));
  const lr = values.lr ?? scaled(optimizer.learningRate);
  const backboneLr = values.backboneLr ?? scaled(optimizer.backboneLearningRate);
  const note = `batch ${MODEST_BATCH} and learning rates ${lr} and ${backboneLr} (backbone), because the preset's batch of ${batch} is made for four GPUs; set --batch, --lr and --backbone-lr to choose`;
  return { values: { ...values, batch: MODEST_BATCH, lr, backboneLr }, notes: [note] };
}

/** The configuration that options stand for; the classes are the data's, the architecture that of the weights. */
function configOptions(
  values: Partial<TrainValues>,
  { classes, initial }: { classes: string[]; initial: Checkpoint | undefined },
): ConfigOptions {
  return {
    preset: values.model,
    model: {
      ...(values.model === initial?.preset ? initial?.model : {}),
      classes,
      evalSize: values.size ?? initial?.model.evalSize,
    },
    train: {
      epochs: values.epochs,
      batch: values.batch,
      // The result doesn't depend on it, the memory does.
      valBatch: values.batch ?? MODEST_BATCH,
      seed: values.seed,
      limits: { maxPixels: values.maxPixels },
      optimizer: { learningRate: values.lr, backboneLearningRate: values.backboneLr },
    },
  };
}

async function resumedJob(path: string, values: TrainValues): Promise<Job> {
  const run = await openRunFolder(path);
  const stored = parseRunConfig(await readText(run.config), run.config);
  const config = values.epochs ? { ...stored, train: { ...stored.train, epochs: values.epochs } } : stored;
  const dataFiles = await readDataFiles(run.data);
  const datasets = await loadDatasets(dataFiles, ["train"]);
  const state = await readBytes(run.state);
  return {
    ...{ config, datasets, dataFiles, run, notes: [] },
    makeTrainer: (device) => Trainer.restore(state, { config, ...device, file: run.state }),
  };
}

async function startRun(values: TrainValues, dataFiles: DataFiles): Promise<RunFolder> {
  const run = await createRunFolder(values.out, "train", values.name ?? defaultName(dataFiles));
  await writeFileAtomic(run.data, `${JSON.stringify(absoluteDataFiles(dataFiles), null, 2)}\n`);
  return run;
}

/** The data set's folder names the run, as people look for it. */
function defaultName(files: DataFiles): string {
  const path = "data" in files ? files.data : (files.train?.images ?? "run");
  const name = basename(dirname(resolve(path))).replace(/[^\p{L}\p{N}._-]+/gu, "-");
  return /[\p{L}\p{N}]/u.test(name) ? name : "run";
}
