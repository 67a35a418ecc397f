import { callable, checkOptions, needed, type OptionRules, text, thing, whole } from "@dfine/tensor";
import { complexityOf } from "../../complexity.ts";
import type { Config } from "../../config/config.ts";
import { titleOf } from "../../config/names.ts";
import type { ConfigOptions } from "../../config/resolve.ts";
import {
  DEVICE_NAMES,
  DEVICE_OPTIONS,
  type DeviceName,
  type DeviceOptions,
  type ResolvedDevice,
  resolveDevice,
} from "../../device.ts";
import { abortSignal, flag, oneOf, texts } from "../../optionRules.ts";
import type { LoaderResources } from "../data/trainLoaders.ts";
import { type DataFiles, loadDatasets } from "../datasets.ts";
import { environment } from "../environment.ts";
import type { RunEvent } from "../runEvents.ts";
import { makeFolder } from "../runFolder.ts";
import { type Cell, type CellOutcome, finishedCell, trainCell } from "./cells.ts";
import { type Experiment, ExperimentError, rowConfigs } from "./experiment.ts";
import { measureLatency } from "./latency.ts";
import { type RowResult, rowResults } from "./results.ts";
import { type ResultTable, writeResults } from "./writeResults.ts";

/** What an experiment is made with. */
export interface RunExperimentOptions extends LoaderResources, DeviceOptions {
  readonly experiment: Experiment;
  /** Where its runs and its table lie. One that has begun there goes on. */
  readonly folder: string;
  /** Keys of a configuration between the experiment's base and its rows; later ones win. */
  readonly options?: readonly ConfigOptions[];
  /** What to train on; without it nothing is trained. */
  readonly data?: DataFiles | undefined;
  /** Where to compute; made anew for each training. Default "auto". */
  readonly device?: DeviceName | undefined;
  /** Trainings of each row, each with first weights, order and noise of its own. Default 1. */
  readonly seeds?: number | undefined;
  /** Keys of the rows that are wanted; default all. */
  readonly rows?: readonly string[] | undefined;
  /** Ends each training after so many steps. */
  readonly maxSteps?: number | undefined;
  /** Whether to measure latencies. Default true. */
  readonly latency?: boolean | undefined;
  /** Told of all that happens in a training. */
  readonly onEvent?: (cell: Cell, event: RunEvent) => void;
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS: OptionRules<RunExperimentOptions> = {
  ...{ experiment: needed(thing), folder: needed(text), data: thing, device: oneOf(DEVICE_NAMES), seeds: whole(1) },
  ...DEVICE_OPTIONS,
  ...{ options: { takes: "a list of configurations", fits: Array.isArray }, rows: texts, maxSteps: whole(1) },
  ...{ latency: flag, onEvent: callable, signal: abortSignal, workers: whole(0), cacheBytes: whole(0) },
};

/** What an experiment has come to. */
export interface ExperimentResult extends ResultTable {
  /** Trainings that are not finished: other processes are at them, or they were stopped. */
  readonly unfinished: number;
  /** Of them, those whose run another process holds. */
  readonly busy: number;
}

/**
 * Trains all rows of an experiment, and writes its table into its folder. What is finished there is taken as it is, and what was
 * stopped goes on, so that several processes may share an experiment, and one that was killed loses nothing. Rows have the same
 * order of images and noise for a seed, and the same first weights where names and shapes agree; rows of one configuration are
 * trained once.
 * @throws ExperimentError, ConfigError, DatasetError; otherwise as `runTraining`
 */
export async function runExperiment(options: RunExperimentOptions): Promise<ExperimentResult> {
  checkOptions("runExperiment", options, OPTIONS);
  const { experiment, folder, data, seeds = 1, latency = true } = options;
  const open = () => resolveDevice(options.device ?? "auto", options);
  const datasets = data && (await loadDatasets(data, ["train", "val"]));
  const classes = datasets?.train?.dataset.categories.map(({ name }) => name);
  const over = [...(options.options ?? []), ...(classes ? [{ model: { classes } }] : [])];
  const configs = wantedRows(rowConfigs(experiment, over), options.rows);
  const cells = data ? cellsOf(configs, seeds) : new Map<string, Cell[]>();
  const unfinished: ("busy" | "stopped")[] = [];
  const outcomes = new Map<Cell, CellOutcome>();
  for (const cell of inTurns(new Set(cells.values()))) {
    const outcome = (await finishedCell(folder, cell)) ?? (await trained(cell));
    if (typeof outcome === "string") unfinished.push(outcome);
    else outcomes.set(cell, outcome);
  }
  async function trained(cell: Cell): Promise<CellOutcome | "busy" | "stopped"> {
    if (options.signal?.aborted) return "stopped";
    using device = await open();
    const { onEvent, signal, maxSteps, workers, cacheBytes } = options;
    const title = `${experiment.title}: ${experiment.rows[cell.row]!.label}, seed ${cell.seed}`;
    return await trainCell(cell, {
      ...{ folder, data: data!, datasets: datasets!, device, title, signal, maxSteps, workers, cacheBytes },
      onEvent: onEvent && ((event) => onEvent(cell, event)),
    });
  }
  using device = await open();
  const latencies = latency ? await latenciesOf(configs, device, options.signal) : new Map<string, number>();
  const facts = [...configs].map(([key, { model }]) => {
    const known = (cells.get(key) ?? []).flatMap((cell) => {
      const outcome = outcomes.get(cell);
      return outcome ? [[cell.seed, outcome] as const] : [];
    });
    const about = { row: experiment.rows[key]!, latencyMs: latencies.get(key), outcomes: new Map(known) };
    return [key, { ...about, ...complexityOf(model) }] as const;
  });
  const rows: RowResult[] = rowResults(experiment, new Map(facts));
  const ours = scaleOf([...configs.values()], { options, device });
  const table = { title: experiment.title, source: experiment.source, ours, rows };
  await makeFolder(folder);
  await writeResults(folder, table);
  const busy = unfinished.filter((why) => why === "busy").length;
  return { ...table, unfinished: unfinished.length, busy };
}

function wantedRows(configs: Map<string, Config>, wanted: readonly string[] | undefined): Map<string, Config> {
  const unknown = wanted?.find((key) => !configs.has(key));
  if (unknown !== undefined)
    throw new ExperimentError(`rows: there is no ${unknown}; the rows are ${[...configs.keys()].join(", ")}`);
  return new Map([...configs].filter(([key]) => wanted?.includes(key) ?? true));
}

/** The trainings of each row, one for each seed; rows of one configuration share those of the first of them. */
function cellsOf(configs: ReadonlyMap<string, Config>, seeds: number): Map<string, Cell[]> {
  const known = new Map<string, Cell[]>();
  return new Map(
    [...configs].map(([row, config]) => {
      const text = JSON.stringify(config);
      const made = known.get(text) ?? Array.from({ length: seeds }, (_, i) => cellOf(row, config, i));
      known.set(text, made);
      return [row, made];
    }),
  );
}

function cellOf(row: string, config: Config, i: number): Cell {
  const seed = config.train.seed + i;
  return { row, seed, config: { ...config, train: { ...config.train, seed } } };
}

/** All rows with the first seed, then all with the next: a table has as many seeds as there was time for. */
function inTurns(rows: Iterable<readonly Cell[]>): Cell[] {
  const lists = [...rows];
  return Array.from({ length: lists[0]?.length ?? 0 }, (_, i) => lists.map((cells) => cells[i]!)).flat();
}

/** By row; models that are alike are measured once. */
async function latenciesOf(
  configs: ReadonlyMap<string, Config>,
  { backend }: ResolvedDevice,
  signal: AbortSignal | undefined,
): Promise<Map<string, number>> {
  const known = new Map<string, number>();
  const found = new Map<string, number>();
  for (const [row, { model }] of configs) {
    if (signal?.aborted) break;
    const text = JSON.stringify(model);
    const milliseconds = known.get(text) ?? (await measureLatency(model, backend));
    known.set(text, milliseconds);
    found.set(row, milliseconds);
  }
  return found;
}

/** How the numbers of a table were found. */
function scaleOf(
  configs: readonly Config[],
  { options, device }: { options: RunExperimentOptions; device: ResolvedDevice },
): string {
  const { data, maxSteps, seeds = 1 } = options;
  const { model, train } = configs[0]!;
  const { processor, backend } = environment(device.backend);
  const place = data && ("data" in data ? data.data : data.train?.images);
  const length = maxSteps === undefined ? `${train.epochs} epochs` : `${maxSteps} steps`;
  const trained = data
    ? `, trained from first weights on ${place}, ${length} of batch ${train.batch}, ${seeds === 1 ? "1 seed" : `${seeds} seeds`}`
    : "";
  const detectors = [...new Set(configs.map(({ preset }) => titleOf(preset)))].join(", ");
  const named = `${detectors} at ${model.evalSize.join("x")}`;
  return `${named}${trained}; latency of one image, first weights, on ${processor} (${backend}).`;
}
