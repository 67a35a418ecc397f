import { spawn } from "node:child_process";
import { join } from "node:path";
import { Command, Option } from "commander";
import { PRESET_NAMES, type PresetName } from "../../config/config.ts";
import { type ConfigOptions, parseOverride } from "../../config/resolve.ts";
import type { EpochEvent } from "../../train/events.ts";
import { readConfigFile } from "../configFile.ts";
import type { DataFiles } from "../datasets.ts";
import { makeDigits } from "../demo/digits.ts";
import type { Cell } from "../experiment/cells.ts";
import { EXPERIMENTS, openExperiment } from "../experiment/experiments.ts";
import { type ExperimentResult, runExperiment } from "../experiment/runExperiment.ts";
import { SCALES, scaleOptions } from "../experiment/scales.ts";
import { resultMarkdown } from "../experiment/writeResults.ts";
import { EXIT } from "./exit.ts";
import { watchInterrupt } from "./interrupt.ts";
import { deviceOptions } from "./openDetector.ts";
import * as options from "./options.ts";
import { completeOverrides } from "./overrides.ts";
import { formatDuration } from "./progressLine.ts";
import { Terminal } from "./terminal.ts";
import { defaultName } from "./trainFolder.ts";

interface ExperimentValues extends options.DataOptionValues, options.DeviceOptionValues, options.OutputOptionValues {
  readonly dry: boolean;
  readonly scale?: keyof typeof SCALES;
  readonly model?: PresetName;
  readonly size?: [number, number];
  readonly config?: string;
  readonly seeds?: number;
  readonly rows?: string;
  readonly steps?: number;
  readonly jobs: number;
  readonly latency: boolean;
  readonly workers?: number;
  readonly cache?: number;
}

export function experimentCommand(finish: (code: number) => void): Command {
  const command = new Command("experiment")
    .description("train the rows of a table, such as the paper's, and show them beside the paper's numbers")
    .argument("<name>", "list shows the names; or a file: .yaml, .mjs, .ts")
    .argument("[overrides...]", "any configuration key, under what the rows change, as train.epochs=20");
  options.addTo(command, [
    new Option("--dry", "train nothing: parameters, GFLOPs and latencies").default(false),
    new Option("--scale <scale>", "sizes for a small machine, with drawn data: see list").choices(Object.keys(SCALES)),
    ...options.trainData(),
    new Option("--model <preset>", "model size (default: that of the experiment)").choices(PRESET_NAMES),
    options.size("input size in pixels (default: that of the experiment)"),
    new Option("--config <file>", "any part of a configuration, under what the rows change"),
    options.parsed("--seeds <count>", "trainings of each row (default: 1, or the scale's)", options.wholeNumber(1)),
    new Option("--rows <keys>", "rows that are wanted, with commas between (default: all)"),
    options.parsed("--steps <count>", "end each training after so many steps", options.wholeNumber(1)),
    options.parsed("--jobs <count>", "processes that share the trainings", options.wholeNumber(1)).default(1),
    new Option("--no-latency", "measure no latencies"),
    ...options.loader(),
    ...options.run(),
  ]);
  return command.action(async (name: string, overrides: string[], values: ExperimentValues) =>
    finish(name === "list" ? list(values) : await experiment(name, overrides, values)),
  );
}

function list(values: ExperimentValues): number {
  const terminal = new Terminal(values);
  const experiments = Object.entries(EXPERIMENTS).map(([name, { title, rows }]) => ({
    ...{ name, title },
    rows: Object.fromEntries(Object.entries(rows).map(([key, { label }]) => [key, label])),
  }));
  const scales = Object.entries(SCALES).map(([name, { about }]) => ({ name, about }));
  terminal.data({ experiments, scales });
  for (const { name, title, rows } of experiments) {
    terminal.say(`${name}  ${title}`);
    for (const [key, label] of Object.entries(rows)) terminal.say(`    ${key}  ${label}`);
  }
  for (const { name, about } of scales) terminal.say(`--scale ${name}  ${about}`);
  return EXIT.ok;
}

async function experiment(name: string, overrides: readonly string[], values: ExperimentValues): Promise<number> {
  const terminal = new Terminal(values);
  const opened = await openExperiment(name);
  const scale = values.scale && SCALES[values.scale];
  const data = values.dry ? undefined : await dataOf(values, terminal);
  const file = values.config === undefined ? [] : [await readConfigFile(values.config)];
  const given: ConfigOptions = { preset: values.model, model: { evalSize: values.size } };
  const under = [...(values.scale ? [scaleOptions(values.scale, opened)] : []), ...file, given];
  const layers = [...under, ...completeOverrides(overrides, [opened.base, ...under]).map(parseOverride)];
  const folder = join(values.out, "experiment", values.name ?? nameOf(name, values, data));
  using interrupt = watchInterrupt(() =>
    terminal.warn("stopping after this step; press Ctrl-C again to stop at once, without saving"),
  );
  const { signal } = interrupt;
  if (values.jobs > 1 && data) {
    terminal.note(`${values.jobs} processes share the trainings`);
    if (!(await inProcesses(values.jobs, signal))) return EXIT.failure;
  }
  const result = await runExperiment({
    ...{ experiment: opened, folder, options: layers, data, signal },
    ...{ seeds: values.seeds ?? scale?.seeds, rows: values.rows?.split(","), maxSteps: values.steps },
    ...{ latency: values.latency, workers: values.workers, cacheBytes: values.cache && values.cache * 2 ** 20 },
    device: values.device,
    ...deviceOptions(values, terminal),
    onEvent: (cell, event) => {
      if (event.kind === "step")
        terminal.progress(`${cellName(cell)} · step ${event.step}/${event.stepsInAll} · loss ${event.loss.toFixed(2)}`);
      if (event.kind === "epoch") tellEpoch(terminal, cell, event);
      if (event.kind === "warning") terminal.warn(`${cellName(cell)}: ${event.text}`);
    },
  });
  show(terminal, folder, result);
  return signal.aborted ? EXIT.interrupted : EXIT.ok;
}

const cellName = ({ row, seed }: Cell): string => `${row}, seed ${seed}`;

function tellEpoch(terminal: Terminal, cell: Cell, { epoch, loss, seconds, evaluation }: EpochEvent): void {
  const ap = evaluation ? ` · AP ${evaluation.result.stats.AP.toFixed(3)}` : "";
  terminal.note(`${cellName(cell)}: epoch ${epoch + 1} · loss ${loss.toFixed(2)}${ap} · ${formatDuration(seconds)}`);
}

function show(terminal: Terminal, folder: string, { unfinished, busy, ...table }: ExperimentResult): void {
  terminal.data({ rows: table.rows, folder, unfinished, busy });
  terminal.say(resultMarkdown(table));
  terminal.say(`table: ${join(folder, "table.md")}, .csv, .json; page: ${join(folder, "index.html")}`);
  if (unfinished > 0)
    terminal.note(
      `${unfinished} trainings are not finished${busy > 0 ? ` (another process is at ${busy} of them)` : ""}; the same command goes on with them, or shows them when they are`,
    );
}

/** What to train on: what was given, or what the scale has drawn. @throws UsageError where there is neither */
async function dataOf(values: ExperimentValues, terminal: Terminal): Promise<DataFiles> {
  const { scale, out } = values;
  if (!scale || values.data !== undefined || values.images !== undefined) return options.dataFiles(values, "train");
  const { drawn } = SCALES[scale];
  const { dataYaml } = await makeDigits({
    folder: join(out, "experiment-data", Object.values(drawn).join("-")),
    ...drawn,
    onProgress: (done, all) => terminal.progress(`drawing images · ${done}/${all}`),
  });
  return { data: dataYaml };
}

/** A name that another scale or other data do not share. */
function nameOf(name: string, { scale }: ExperimentValues, data: DataFiles | undefined): string {
  const own = name.replace(/^.*[\\/]/, "").replace(/\.\w+$/, "");
  return [own, ...(scale ? [scale] : []), ...(data ? [defaultName(data)] : ["dry"])].join("-");
}

/** Has several processes do what this command was asked for, waits for them, and says whether all went well. */
async function inProcesses(jobs: number, signal: AbortSignal): Promise<boolean> {
  const [, command, ...given] = process.argv;
  const others = given.filter((word, i) => !/^--jobs(=|$)/.test(word) && given[i - 1] !== "--jobs");
  const run = () =>
    new Promise<boolean>((resolve, reject) => {
      const child = spawn(process.execPath, [command!, ...others, "--jobs", "1", "--no-latency"], {
        stdio: ["ignore", "ignore", "inherit"],
      });
      // A terminal sends Ctrl-C to the children itself.
      signal.addEventListener("abort", () => process.stdin.isTTY || child.kill("SIGTERM"));
      child.on("error", reject).on("exit", (code) => resolve(code === EXIT.ok || code === EXIT.interrupted));
    });
  return (await Promise.all(Array.from({ length: jobs }, run))).every(Boolean);
}
