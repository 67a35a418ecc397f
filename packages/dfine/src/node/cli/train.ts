import { Command, Option } from "commander";
import { fitLines } from "../../checkpoint/fitText.ts";
import { RECIPE_NAMES, TASK_NAMES } from "../../config/config.ts";
import { titleOf } from "../../config/names.ts";
import { summarizeDataset } from "../../data/summary.ts";
import { ARCHITECTURES } from "../../model/architectures.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import { checkImages } from "../data/checkImages.ts";
import { loaderNote, trainLoaders } from "../data/trainLoaders.ts";
import { encodeImage } from "../draw.ts";
import { previewSheet } from "../previewSheet.ts";
import { type LiveReport, type RunEnd, serveReport } from "../report/live.ts";
import { runTraining, type TrainRunOptions, type TrainRunOutcome } from "../trainRun.ts";
import { wandbLog } from "../wandb.ts";
import { autoBatchJob } from "./autoBatch.ts";
import { EXIT, UsageError } from "./exit.ts";
import { watchInterrupt } from "./interrupt.ts";
import { openDevice } from "./openDetector.ts";
import * as options from "./options.ts";
import { overfitCommand } from "./overfit.ts";
import { runTerminal } from "./runTerminal.ts";
import { Terminal } from "./terminal.ts";
import { freshJob, type Job, resumedJob, type TrainValues } from "./trainJob.ts";

/** Options that may change when a run goes on: none of them changes the weights it ends with, but for where it ends. */
const FREE_ON_RESUME = new Set([
  "resume",
  "device",
  "threads",
  "wide",
  "deterministic",
  "workers",
  "cache",
  "wandb",
  "serve",
  "steps",
  "epochs",
  "json",
  "quiet",
]);

export function trainCommand(finish: (code: number) => void): Command {
  const command = new Command("train")
    .description("train a model on labelled images")
    .argument("[overrides...]", "any configuration key, as ema.decay=0.998 or model.decoder.numQueries=100");
  options.addTo(command, [
    ...options.trainData(),
    options.model("model size (default: that of --weights, or n)"),
    new Option("--config <file>", "any part of a configuration, as a run's config.yaml; options go before it"),
    new Option("--task <task>", "what it is trained for (default: custom)").choices(TASK_NAMES),
    new Option("--recipe <recipe>", "whose numbers of epochs (default: official)").choices(RECIPE_NAMES),
    options.size("input size in pixels, SIDE or HEIGHTxWIDTH (default: that of --weights, or 640)"),
    options.parsed("--epochs <count>", "passes over the training data", options.wholeNumber(1)),
    options.parsed("--steps <count>", "end after this many steps in all", options.wholeNumber(1)),
    options.batchOrAuto("images per step, or auto: the most that fit (default: 8)"),
    options.parsed("--memory <megabytes>", "what a step may take, for --batch auto", options.wholeNumber(1)),
    options.parsed("--lr <rate>", "learning rate", options.positiveNumber),
    options.parsed("--backbone-lr <rate>", "learning rate of the backbone", options.positiveNumber),
    options.weights("weights to start from, as for dfine val; heads of other classes start fresh"),
    options.ema(),
    new Option("--backbone <file>", "weights of the backbone alone, such as PPHGNetV2_B0_stage1.pth"),
    options.parsed("--seed <number>", "chooses initial weights, order and noise", options.wholeNumber(0)),
    options.maxPixels(),
    ...options.loader(),
    new Option(
      "--overfit",
      "learn one batch by heart, to see that the data can be learned: exit code 1 where not, within --steps (default: 600)",
    ).default(false),
    new Option("--preview [file]", "write a sheet of images as training gets them, and end").preset("preview.jpg"),
    new Option("--wandb <project>", "send the curves to this project at Weights & Biases too (needs @wandb/sdk)"),
    options.servePort(),
    new Option("--resume <run>", "go on with the run in this folder, exactly where it stood"),
    ...options.run(),
  ]);
  return command.action(async (overrides: string[], values: TrainCommandValues) => {
    if (values.resume !== undefined) refuseOnResume(command, overrides);
    finish(await train(values, overrides));
  });
}

/** @throws UsageError for options that a resumed run takes from its folder */
function refuseOnResume(command: Command, overrides: readonly string[]): void {
  const given = command.options.filter((option) => {
    const name = option.attributeName();
    return command.getOptionValueSource(name) === "cli" && !FREE_ON_RESUME.has(name);
  });
  const names = [...given.map(({ long }) => long), ...overrides];
  if (names.length > 0)
    throw new UsageError(`--resume goes on with the run's own configuration and data; leave out ${names.join(", ")}`);
}

interface TrainCommandValues extends Omit<TrainValues, "batch"> {
  readonly batch?: number | "auto";
  readonly memory?: number;
}

async function train({ batch, ...values }: TrainCommandValues, overrides: readonly string[]): Promise<number> {
  const terminal = new Terminal(values);
  if (batch !== "auto" && values.memory !== undefined)
    throw new UsageError("--memory is the limit of --batch auto; give both, or leave it out");
  const tried = batch === "auto" ? await openDevice(values, terminal) : undefined;
  const job = tried
    ? await autoBatchJob(values, overrides, { backend: tried.backend, terminal })
    : values.resume === undefined
      ? await freshJob({ ...values, ...(batch === undefined || batch === "auto" ? {} : { batch }) }, overrides)
      : await resumedJob(values.resume, values);
  const { config, datasets } = job;
  const notes = [...dataNotes(terminal, job), ...job.notes];
  for (const note of notes) terminal.note(note);
  await checkImages(datasets.train!);
  if (datasets.val) await checkImages(datasets.val);
  if (values.preview !== undefined) return await writePreview(values.preview, terminal, job);
  if (values.overfit) return await overfitCommand(job, values, { terminal, tried });
  const title = titleOf(config.preset);
  const live = values.serve === undefined ? undefined : await serveReport({ port: values.serve, title });
  if (live) terminal.note(`live report: ${live.address}`);
  const resources = { workers: values.workers, cacheBytes: values.cache && values.cache * 2 ** 20 };
  terminal.note(loaderNote(config, resources));
  using device = tried ?? (await openDevice(values, terminal));
  using interrupt = watchInterrupt(() =>
    terminal.warn("stopping after this step; press Ctrl-C again to stop at once, without saving"),
  );
  using trainer = await job.makeTrainer(device);
  const { fit } = trainer;
  const fitted = fit ? fitLines(fit) : [];
  for (const line of fitted) terminal.note(`weights: ${line}`);
  if (fit) terminal.data({ kind: "weights", ...fit });
  const wandb = values.wandb === undefined ? undefined : await wandbLog({ project: values.wandb, config });
  const tell = runTerminal(terminal, config.train.epochs);
  const { run, interrupted, best } = await liveRun(live, {
    ...{ trainer, signal: interrupt.signal, maxSteps: values.steps, ...resources },
    run: job.folder,
    notes: [...notes, ...fitted],
    train: datasets.train!,
    val: datasets.val,
    title,
    onEvent: (event) => {
      tell(event);
      wandb?.take(event);
    },
  });
  await wandb?.finish();
  if (interrupted) {
    terminal.note(`saved; go on with: dfine train --resume ${run.path}`);
    return EXIT.interrupted;
  }
  if (!best && datasets.val)
    terminal.warn(`no ${config.train.bestBy} above 0 was measured: best.safetensors is the last epoch`);
  terminal.data({ kind: "done", run: run.path, report: run.report, best });
  terminal.say(`weights: ${run.best}\nreport:  ${run.report}`);
  return EXIT.ok;
}

/** Trains, and tells those who look at the live report how it ended. */
async function liveRun(live: LiveReport | undefined, options: TrainRunOptions): Promise<TrainRunOutcome> {
  let end: RunEnd = "failed";
  try {
    const outcome = await runTraining({ ...options, live });
    end = outcome.interrupted ? "stopped" : "finished";
    return outcome;
  } finally {
    await live?.end(end);
  }
}

/** Draws images of the first epoch as training would get them. */
async function writePreview(file: string, terminal: Terminal, { config, datasets }: Job): Promise<number> {
  using data = trainLoaders(config, { train: datasets.train!, workers: 0 });
  const sheet = await previewSheet(data.train, { names: config.model.classes });
  await writeFileAtomic(file, await encodeImage(sheet, file));
  terminal.data({ kind: "preview", file });
  terminal.say(`preview: ${file}`);
  return EXIT.ok;
}

/** What the data holds that the user should know; warns of what leaves nothing to learn or to measure. */
function dataNotes(terminal: Terminal, { config, datasets: { train, val, notes: read = [] } }: Job): string[] {
  const { queries } = ARCHITECTURES.plan(config.model).facts();
  const learned = summarizeDataset(train!.dataset, {
    size: config.model.evalSize,
    resize: config.model.resize,
    queries,
  });
  if (learned.boxes === 0) terminal.warn("the training data has no boxes: the model will learn to find nothing");
  const judged = val && summarizeDataset(val.dataset, { use: "evaluation", queries });
  if (judged?.boxes === 0)
    terminal.warn("the validation data has no boxes: there is no AP, and best.safetensors is the last epoch");
  if (!judged)
    terminal.warn(
      "no validation data: nothing is evaluated, and best.safetensors is the last epoch; --val-split 0.1 sets a tenth of the images aside",
    );
  const notes = [
    ["data", { notes: read }],
    ["data", learned],
    ["validation data", judged],
  ] as const;
  return notes.flatMap(([name, about]) => about?.notes.map((note) => `${name}: ${note}`) ?? []);
}
