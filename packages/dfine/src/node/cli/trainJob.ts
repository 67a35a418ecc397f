import { type BackboneWeights, openBackbone } from "../../checkpoint/backbone.ts";
import { type Checkpoint, openCheckpoint } from "../../checkpoint/open.ts";
import {
  type Config,
  ConfigError,
  type PresetName,
  type RecipeName,
  type TaskName,
  type TrainConfig,
} from "../../config/config.ts";
import { type ConfigOptions, resolveConfig } from "../../config/resolve.ts";
import { counted } from "../../describe.ts";
import { checkInputSize } from "../../model/architectures.ts";
import { OVERFIT } from "../../train/overfit.ts";
import { Trainer } from "../../train/trainer.ts";
import type { TrainerOptions } from "../../train/trainerOptions.ts";
import { readConfigFile } from "../configFile.ts";
import type { Datasets } from "../data/datasetParts.ts";
import { readText } from "../data/readCoco.ts";
import { loadDatasets, parseDataFiles } from "../datasets.ts";
import { readWeights } from "../files.ts";
import { openRunFolder, type RunFolder } from "../runFolder.ts";
import { readRun } from "../runState.ts";
import { UsageError } from "./exit.ts";
import { shownDownload } from "./openDetector.ts";
import { type DataOptionValues, type DeviceOptionValues, dataFiles, type OutputOptionValues } from "./options.ts";
import { completeOverrides } from "./overrides.ts";
import { Terminal } from "./terminal.ts";
import { defaultName, planTrainFolder } from "./trainFolder.ts";

type Numbers = Readonly<
  Partial<
    Record<"epochs" | "steps" | "batch" | "lr" | "backboneLr" | "seed" | "maxPixels" | "workers" | "cache", number>
  >
>;

export interface TrainValues extends DataOptionValues, DeviceOptionValues, OutputOptionValues, Numbers {
  /** Undefined where nothing was said. */
  readonly model?: PresetName;
  readonly task?: TaskName;
  readonly recipe?: RecipeName;
  readonly size?: [number, number];
  readonly config?: string;
  readonly weights?: string;
  readonly backbone?: string;
  readonly ema: boolean;
  /** Project at Weights & Biases. */
  readonly wandb?: string;
  /** Port of the live report. */
  readonly serve?: number;
  readonly resume?: string;
  /** Images per step where `batch` does not say it. */
  readonly usualBatch?: number;
  /** Whether to learn one batch by heart, and nothing else. */
  readonly overfit?: boolean;
  /** File of a sheet of images, which is all that is made. */
  readonly preview?: string;
}

/** What to train, before any run folder is made. */
export interface Job {
  readonly config: Config;
  readonly datasets: Datasets;
  readonly makeTrainer: (device: Omit<TrainerOptions, "config">) => Promise<Trainer>;
  /** What the user should know about the choices made. */
  readonly notes: readonly string[];
  /** Makes the run's folder, or gives that of a run that goes on. */
  readonly folder: () => RunFolder | Promise<RunFolder>;
}

/** A new run, as options and overrides ask for it. @throws UsageError, ConfigError, DatasetError, ModelFileError, RunFolderError */
export async function freshJob(given: TrainValues, overrides: readonly string[]): Promise<Job> {
  const data = dataFiles(given, "train");
  const makeFolder = await planTrainFolder(given.out, given.name ?? defaultName(data));
  if (given.weights === undefined && !given.ema)
    throw new UsageError("--no-ema chooses among the weights of a file; give one with --weights, or leave it out");
  if (given.weights !== undefined && given.backbone !== undefined)
    throw new UsageError("--weights has a backbone of its own; give either --weights or --backbone");
  const backbone = given.backbone === undefined ? undefined : await openBackboneFile(given.backbone, given);
  const initial = given.weights === undefined ? undefined : await openWeights(given.weights, given);
  const file = given.config === undefined ? {} : await readConfigFile(given.config);
  const chosen = { ...given, model: given.model ?? initial?.preset ?? file.preset ?? "n" };
  const usual = [file, configOptions(chosen, { classes: ["any"], initial })];
  const completed = completeOverrides(overrides, usual);
  // A wrong key or value is said before any data is read.
  const { preset, model, train: own } = resolveConfig(usual, completed);
  checkInputSize(model, model.evalSize);
  if (initial && initial.preset !== preset)
    throw new ConfigError(
      `configuration: ${initial.file} holds weights of preset ${initial.preset}, not ${preset}; leave the preset out`,
    );
  const datasets = await loadDatasets(data, ["train"]);
  const { categories, images } = datasets.train!.dataset;
  const classes = categories.map(({ name }) => name);
  const { values, notes } = withBatch(chosen, {
    ...{ own, images: images.length },
    given: given.batch ?? file.train?.batch ?? completed.find((text) => text.startsWith("train.batch=")),
  });
  const layers = [file, configOptions(values, { classes, initial }), ...(given.overfit ? [OVERFIT] : [])];
  const config = resolveConfig(layers, completed);
  if (config.model.classes.length !== classes.length)
    throw new ConfigError(
      `configuration: model.classes has ${config.model.classes.length} names, the annotations have ${classes.length}; leave model.classes out`,
    );
  return {
    ...{ config, datasets, folder: () => makeFolder(data) },
    notes: [...notes, ...(backbone ? [`backbone: ${backbone.file}, ${counted(backbone.entries.size, "tensor")}`] : [])],
    makeTrainer: (device) =>
      Trainer.create({ config, ...device, ...(initial ? { initial } : {}), ...(backbone ? { backbone } : {}) }),
  };
}

async function openWeights(place: string, values: TrainValues): Promise<Checkpoint> {
  const { ema, size } = values;
  const { bytes, ...about } = await readWeights(place, shownDownload(new Terminal(values)));
  return openCheckpoint(bytes, { ...about, size, ...(ema ? {} : { ema }) });
}

async function openBackboneFile(place: string, values: TrainValues): Promise<BackboneWeights> {
  const { bytes, ...about } = await readWeights(place, shownDownload(new Terminal(values)));
  return openBackbone(bytes, about);
}

/** Images per step where nothing is said. */
const MODEST_BATCH = 8;

/**
 * Presets are made for batches on four GPUs. Without a batch of the user's own it is a modest one that the data fills, and
 * rates that the user did not give shrink with its square root, as suits Adam.
 */
function withBatch(
  values: TrainValues & { readonly model: PresetName },
  { given, images, own }: { given: unknown; images: number; own: TrainConfig },
): { values: TrainValues; notes: string[] } {
  if (given !== undefined) return { values, notes: [] };
  const usual = values.usualBatch ?? MODEST_BATCH;
  const batch = Math.max(1, Math.min(usual, images));
  const scaled = (rate: number) => Number((rate * Math.sqrt(batch / own.batch)).toPrecision(2));
  const lr = values.lr ?? scaled(own.optimizer.learningRate);
  const backboneLr = values.backboneLr ?? scaled(own.optimizer.backboneLearningRate);
  const few = batch < usual ? `, and the data has ${counted(images, "image")}` : "";
  const note = `batch ${batch} and learning rates ${lr} and ${backboneLr} (backbone), because the preset's batch of ${own.batch} is made for four GPUs${few}; set --batch, --lr and --backbone-lr to choose`;
  return { values: { ...values, batch, lr, backboneLr }, notes: [note] };
}

/** The configuration that options stand for; the classes are the data's, the architecture that of the weights. */
function configOptions(
  values: Partial<TrainValues>,
  { classes, initial }: { classes: string[]; initial: Checkpoint | undefined },
): ConfigOptions {
  return {
    ...{ preset: values.model, task: values.task, recipe: values.recipe },
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

/** The run in a folder, to go on. @throws RunFolderError, DatasetError */
export async function resumedJob(path: string, values: TrainValues): Promise<Job> {
  const run = await openRunFolder(path);
  const { config: stored, state, notes } = await readRun(run);
  const config = values.epochs ? { ...stored, train: { ...stored.train, epochs: values.epochs } } : stored;
  const datasets = await loadDatasets(parseDataFiles(await readText(run.data), run.data), ["train"]);
  return {
    ...{ config, datasets, notes, folder: () => run },
    makeTrainer: (device) => Trainer.restore(state, { config, ...device, file: run.state }),
  };
}
