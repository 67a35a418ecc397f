import { Command, Option } from "commander";
import type { PresetName } from "../../config/config.ts";
import { counted } from "../../describe.ts";
import type { Fault } from "../../doctor/check.ts";
import type { DataFiles } from "../datasets.ts";
import { type Diagnosis, doctor } from "../doctor/doctor.ts";
import { EXIT, UsageError } from "./exit.ts";
import { watchInterrupt } from "./interrupt.ts";
import * as options from "./options.ts";
import { Terminal, type TerminalOptions } from "./terminal.ts";

interface DoctorValues extends TerminalOptions, options.DataOptionValues {
  readonly size?: [number, number];
  readonly model?: PresetName;
  readonly maxPixels?: number;
  readonly fix?: string;
  /** Whether image files are looked into; the option for folders of images has another name here. */
  readonly read: boolean;
}

export function doctorCommand(finish: (code: number) => void): Command {
  const command = new Command("doctor")
    .description("find out what is wrong with a data set, explain it, and write a corrected copy")
    .argument("[data]", "what --data takes");
  options.addTo(command, [
    ...options.trainData().filter(({ long }) => long !== "--val-split"),
    options.size("input size that is trained at, for objects too small (default: 640)"),
    options.model("model that is trained (default: n)"),
    options.maxPixels(),
    new Option("--no-read", "do not look into image files: faster, finds no damage and no copies"),
    new Option("--fix <folder>", "write a corrected copy into this new folder"),
    ...options.talk(),
  ]);
  return command.action(async (data: string | undefined, values: DoctorValues) =>
    finish(await examine(filesOf(data, values), values)),
  );
}

/** @throws UsageError where data is named twice, or not at all */
function filesOf(data: string | undefined, values: DoctorValues): DataFiles {
  if (data === undefined) return options.dataFiles(values, "train");
  const others = [values.data, values.images, values.annotations, values.valImages, values.valAnnotations];
  if (others.some((other) => other !== undefined))
    throw new UsageError(`give either ${data} or options for data, not both`);
  return { data };
}

/** The options that stand for data, for a command that is told. */
const dataText = (files: DataFiles): string =>
  "data" in files
    ? `--data ${files.data}`
    : [["", files.train] as const, ["val-", files.val] as const]
        .flatMap(([part, pair]) =>
          pair ? [`--${part}images ${pair.images} --${part}annotations ${pair.annotations}`] : [],
        )
        .join(" ");

async function examine(files: DataFiles, values: DoctorValues): Promise<number> {
  const terminal = new Terminal(values);
  using interrupt = watchInterrupt(() => terminal.warn("stopping"));
  const { size, model, maxPixels, fix, read } = values;
  const diagnosis = await doctor(files, {
    ...{ size, model, maxPixels, fix, images: read, signal: interrupt.signal },
    onProgress: (what, done, total) => terminal.progress(`${what} · ${done}/${total}`),
  }).catch((error: unknown) => {
    if (interrupt.signal.aborted && error === interrupt.signal.reason) return undefined;
    throw error;
  });
  if (!diagnosis) return EXIT.interrupted;
  const { faults, fixed, parts } = diagnosis;
  terminal.data({ faults, parts, ...(fixed ? { fixed } : {}) });
  for (const text of report(diagnosis, dataText(files))) terminal.say(text);
  const isWell = fixed ? fixed.faults.every(({ severity }) => severity !== "error") : faults.length === 0;
  return isWell ? EXIT.ok : EXIT.failure;
}

/** What is said for people. */
function* report(diagnosis: Diagnosis, data: string): Generator<string> {
  const { faults, parts, fixed } = diagnosis;
  for (const { name, images, objects, classes } of parts)
    yield `${name}: ${counted(images, "image")}, ${counted(objects, "object")}, ${counted(classes, "class", "classes")}`;
  for (const fault of faults) yield `\n${faultText(fault)}`;
  if (fixed) {
    const isNone = fixed.changes.length === 0;
    yield `\ncorrected copy: ${fixed.data}${isNone ? ", in which nothing had to be changed" : ""}`;
    for (const { kind, count, did } of fixed.changes) yield `  ${kind}: ${count} ${did}`;
    if (fixed.faults.length > 0)
      yield `left in it: ${fixed.faults.map(({ kind, count }) => `${kind} (${count})`).join(", ")}`;
  }
  yield `\n${faults.length === 0 ? "no faults found\n" : ""}next: ${nextStep(diagnosis, data)}`;
}

function nextStep({ faults, fixed }: Diagnosis, data: string): string {
  if (fixed) return `dfine train --data ${fixed.data}`;
  if (faults.some(({ severity, fixable }) => severity === "error" && !fixable))
    return "mend the errors that --fix cannot mend, and ask again";
  return faults.some(({ fixable }) => fixable)
    ? `dfine doctor ${data} --fix corrected`
    : `dfine train ${data} --overfit`;
}

function faultText({ kind, severity, title, count, examples, means, remedy }: Fault): string {
  const more = count - examples.length;
  return [
    `${severity}: ${title} [${kind}] · ${count}`,
    ...examples.map((text) => `    ${text}`),
    ...(more > 0 ? [`    and ${more} more`] : []),
    `  ${means}.`,
    `  remedy: ${remedy}.`,
  ].join("\n");
}
