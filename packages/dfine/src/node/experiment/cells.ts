import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { max, mean, sum } from "d3-array";
import * as z from "zod";
import type { Config } from "../../config/config.ts";
import { parseJson } from "../../parseJson.ts";
import { Trainer } from "../../train/trainer.ts";
import type { TrainerOptions } from "../../train/trainerOptions.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import type { Datasets } from "../data/datasetParts.ts";
import type { LoaderResources } from "../data/trainLoaders.ts";
import { absoluteDataFiles, type DataFiles } from "../datasets.ts";
import { takeLock } from "../fileLock.ts";
import { firstDifference, parseRunConfig } from "../runConfig.ts";
import type { RunSink } from "../runEvents.ts";
import { createRunFolder, makeFolder, openRunFolder, type RunFolder } from "../runFolder.ts";
import { type LogLine, readEvents } from "../runLog.ts";
import { readRun } from "../runState.ts";
import { runTraining } from "../trainRun.ts";
import { ExperimentError } from "./experiment.ts";

/** One training of an experiment: a row with a seed. */
export interface Cell {
  readonly row: string;
  readonly seed: number;
  readonly config: Config;
}

const outcomeSchema = z.object({
  /** The best that an epoch reached, of `train.bestBy`; 0 where none was above. */
  ap: z.number(),
  /** Of the decoder layers at that epoch, first to last. */
  layers: z.array(z.number()),
  /** Mean loss of the first quarter of steps, and of the last. */
  firstLoss: z.number(),
  lastLoss: z.number(),
  steps: z.number(),
  /** Of training, without evaluation. */
  secondsPerEpoch: z.number(),
  /** The most memory that the device held. */
  peakBytes: z.number(),
});
/** What is kept of a finished training. */
export type CellOutcome = Readonly<z.infer<typeof outcomeSchema>>;

/** What a cell is trained with. */
export interface CellOptions extends LoaderResources {
  readonly folder: string;
  readonly data: DataFiles;
  readonly datasets: Datasets;
  readonly device: Omit<TrainerOptions, "config">;
  readonly title: string;
  readonly maxSteps?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: RunSink | undefined;
}

const parentOf = (folder: string, { row }: Cell): string => join(folder, "runs", row);
const folderOf = (folder: string, cell: Cell): string => join(parentOf(folder, cell), `seed${cell.seed}`);

/** The outcome of a cell that is finished. @throws ExperimentError where it was trained with another configuration */
export async function finishedCell(folder: string, cell: Cell): Promise<CellOutcome | undefined> {
  const path = folderOf(folder, cell);
  const text = await readFile(join(path, "result.json"), "utf8").catch(() => "");
  const { data } = outcomeSchema.safeParse(parseJson(text));
  if (data) checkBegunAlike(await readRunConfig(join(path, "config.yaml")), cell, path);
  return data;
}

const readRunConfig = async (path: string): Promise<Config> => parseRunConfig(await readFile(path, "utf8"), path);

function checkBegunAlike(before: Config, { config }: Cell, path: string): void {
  const found = firstDifference(config, before);
  if (!found) return;
  throw new ExperimentError(
    `${path}: ${found.key} is to be ${found.now}, but this run was begun with ${found.before}; give the options that the experiment was begun with, or another --out or --name`,
  );
}

/**
 * Trains a cell to its end, or goes on with it where it was stopped. "busy": another process has it; "stopped": the signal came.
 * @throws ExperimentError for a cell that was begun otherwise; as `runTraining`
 */
export async function trainCell(cell: Cell, options: CellOptions): Promise<CellOutcome | "busy" | "stopped"> {
  const { folder } = options;
  const path = folderOf(folder, cell);
  await makeFolder(dirname(path));
  const lock = `${path}.lock`;
  const taken = await takeLock(lock);
  if ("owner" in taken) return "busy";
  try {
    return (await finishedCell(folder, cell)) ?? (await trainUnfinished(cell, path, options));
  } finally {
    await rm(lock, { force: true });
  }
}

async function trainUnfinished(cell: Cell, path: string, options: CellOptions): Promise<CellOutcome | "stopped"> {
  const { data, datasets, device, title, maxSteps, signal, onEvent, workers, cacheBytes } = options;
  const begun = await begunRun(path);
  if (begun) checkBegunAlike(begun.config, cell, path);
  using trainer = begun
    ? await Trainer.restore(begun.state, { config: cell.config, ...device, file: begun.run.state })
    : await Trainer.create({ config: cell.config, ...device });
  const { run, interrupted } = await runTraining({
    ...{ trainer, title, maxSteps, workers, cacheBytes },
    ...{ train: datasets.train!, val: datasets.val },
    ...(signal ? { signal } : {}),
    ...(onEvent ? { onEvent } : {}),
    run: async () => {
      if (begun) return begun.run;
      const made = await createRunFolder(options.folder, join("runs", cell.row), `seed${cell.seed}`);
      await writeFileAtomic(made.data, `${JSON.stringify(absoluteDataFiles(data), null, 2)}\n`);
      return made;
    },
  });
  if (interrupted) return "stopped";
  const { peakBytes } = trainer.backend.memory();
  const outcome = { ...outcomeOf(await readEvents(run.events), cell.config), peakBytes };
  await writeFileAtomic(join(path, "result.json"), `${JSON.stringify(outcome, null, 2)}\n`);
  return outcome;
}

/** The run of a cell that was stopped after its first save. What was stopped before that is removed: nothing is lost. */
async function begunRun(path: string) {
  if (!existsSync(path)) return undefined;
  const run: RunFolder | undefined = await openRunFolder(path).catch(() => undefined);
  if (run) return { run, ...(await readRun(run)) };
  await rm(path, { recursive: true });
  return undefined;
}

/** What a run's log tells of it, whether it ran through or was stopped on the way. */
function outcomeOf(lines: readonly LogLine[], { train }: Config): Omit<CellOutcome, "peakBytes"> {
  const steps = lines.filter(({ kind }) => kind === "step");
  const epochs = lines.filter(({ kind }) => kind === "epoch");
  const apOf = ({ stats }: LogLine): number => (stats as Record<string, number> | undefined)?.[train.bestBy] ?? 0;
  const ap = max(epochs, apOf) ?? 0;
  const best = epochs.find((epoch) => apOf(epoch) === ap);
  const losses = steps.map(({ loss }) => Number(loss));
  const quarter = Math.max(1, Math.floor(losses.length / 4));
  return {
    ap: Math.max(0, ap),
    layers: (best?.layers as number[] | undefined) ?? [],
    firstLoss: mean(losses.slice(0, quarter)) ?? Number.NaN,
    lastLoss: mean(losses.slice(-quarter)) ?? Number.NaN,
    steps: steps.length,
    secondsPerEpoch: sum(steps, ({ seconds }) => Number(seconds)) / new Set(steps.map(({ epoch }) => epoch)).size,
  };
}
