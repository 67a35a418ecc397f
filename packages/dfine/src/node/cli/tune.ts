import { readFile } from "node:fs/promises";
import { Command, Option } from "commander";
import { PRESET_NAMES, type PresetName } from "../../config/config.ts";
import { resolveConfig } from "../../config/resolve.ts";
import { counted } from "../../describe.ts";
import { openTuning, type Tuning } from "../../device.ts";
import { noiseBatch } from "../../train/largestBatch.ts";
import { Trainer } from "../../train/trainer.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import { measureLatency } from "../experiment/latency.ts";
import { EXIT, UsageError } from "./exit.ts";
import * as options from "./options.ts";
import { Terminal, type TerminalOptions } from "./terminal.ts";

interface TuneValues extends TerminalOptions {
  readonly model: readonly PresetName[];
  readonly size: [number, number];
  readonly batch: number;
  readonly seconds: number;
  readonly again: boolean;
  readonly show: boolean;
  readonly delete: boolean;
  readonly export?: string;
  readonly import?: string;
}

/** What may be done instead of measuring; one at a time. */
const DEEDS = ["show", "delete", "export", "import"] as const;

export function tuneCommand(finish: (code: number) => void): Command {
  const command = new Command("tune").description(
    "time the kernels that this machine's GPU may use for products, and keep the fastest: training and prediction use them from then on",
  );
  options.addTo(command, [
    options.listOf("--model <presets>", "whose training step and prediction", PRESET_NAMES).default(["n"], "n"),
    options.size("input size in pixels, SIDE or HEIGHTxWIDTH (default: 640)").default([640, 640], "640"),
    options.batch("images of the training step").default(8),
    options.parsed("--seconds <count>", "begin no further product after so long", options.positiveNumber).default(120),
    new Option("--again", "measure all anew, also what is known").default(false),
    new Option("--show", "say what is kept, and measure nothing").default(false),
    new Option("--delete", "forget what is kept of this adapter").default(false),
    new Option("--export <file>", "write what is kept, for other machines with such an adapter"),
    new Option("--import <file>", "keep what another machine with such an adapter exported"),
    ...options.talk(),
  ]);
  return command.action(async (values: TuneValues) => finish(await tune(values)));
}

async function tune(values: TuneValues): Promise<number> {
  const deeds = DEEDS.filter((deed) => values[deed]);
  if (deeds.length > 1) throw new UsageError(`give one of ${deeds.map((deed) => `--${deed}`).join(" and ")}, not both`);
  const terminal = new Terminal(values);
  using tuning = await openTuning({ seconds: values.seconds, again: values.again && deeds.length === 0 });
  if (values.delete) return forget(tuning, terminal);
  if (values.import !== undefined) await adopt(tuning, values.import);
  else if (values.export !== undefined) await writeFileAtomic(values.export, Buffer.from(exported(tuning)));
  else if (!values.show) await measure(tuning, { values, terminal });
  report(tuning, terminal);
  return EXIT.ok;
}

/** Runs what is to be fast; the backend measures products while it compiles for that. */
async function measure(
  { backend }: Tuning,
  { values, terminal }: { values: TuneValues; terminal: Terminal },
): Promise<void> {
  for (const preset of values.model) {
    const config = resolveConfig({ preset, task: "custom", model: { evalSize: values.size } });
    terminal.note(`measuring products of a training step of ${preset}, ${counted(values.batch, "image")}`);
    const trainer = await Trainer.create({ config, backend });
    await trainer.step(noiseBatch(values.batch, { config }), 1);
    trainer.dispose();
    terminal.note(`measuring products of a prediction of ${preset}`);
    await measureLatency(config.model, backend);
  }
}

function forget({ adapter, kept }: Tuning, terminal: Terminal): number {
  const file = kept.path(adapter);
  const deleted = kept.remove(adapter);
  terminal.say(deleted ? `deleted ${file}` : `nothing is kept of ${adapter}`);
  terminal.data({ adapter, file, deleted });
  return EXIT.ok;
}

function exported({ adapter, kept, write }: Tuning): string {
  const choices = kept.read(adapter);
  if (!choices) throw new UsageError(`nothing is kept of ${adapter} yet; run dfine tune first`);
  return write(choices);
}

async function adopt({ adapter, kept, read }: Tuning, file: string): Promise<void> {
  const choices = read(await readFile(file, "utf8"), file);
  if (choices.adapter !== adapter)
    throw new UsageError(
      `${file} is of another adapter: ${choices.adapter}; this machine has ${adapter}, on which other kernels may be fastest: run dfine tune`,
    );
  kept.write(choices);
}

const milliseconds = (value: number): string => value.toFixed(3).padStart(10);

function report({ adapter, kept }: Tuning, terminal: Terminal): void {
  const file = kept.path(adapter);
  const choices = Object.entries(kept.read(adapter)?.choices ?? {});
  terminal.data({ adapter, file, choices: Object.fromEntries(choices) });
  if (choices.length === 0) {
    terminal.say(`nothing is kept of ${adapter}`);
    return;
  }
  terminal.say(`${"ms".padStart(10)}${"by rule".padStart(10)}  product (op, octaves of m, n, k and batch): kernel`);
  const gain = ([, choice]: (typeof choices)[number]): number => choice.usualMilliseconds - choice.milliseconds;
  for (const [name, choice] of choices.sort((a, b) => gain(b) - gain(a)))
    terminal.say(
      `${milliseconds(choice.milliseconds)}${milliseconds(choice.usualMilliseconds)}  ${name}: ${choice.kernel}`,
    );
  terminal.say(`${counted(choices.length, "product")} of ${adapter}, kept in ${file}`);
}
