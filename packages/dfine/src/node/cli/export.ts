import { existsSync } from "node:fs";
import { join } from "node:path";
import { Command, Option } from "commander";
import { exportHuggingFace, exportSafetensors } from "../../checkpoint/exportWeights.ts";
import { titleOf } from "../../config/names.ts";
import { ExportError } from "../../exportError.ts";
import { exportOnnx, roundedUp } from "../../onnx/exportOnnx.ts";
import { ALIKE, checkOnnx, type OnnxComparison } from "../checkOnnx.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import type { DFine } from "../detector.ts";
import { MissingPackageError } from "../optional.ts";
import { makeFolder } from "../runFolder.ts";
import { EXIT, UsageError } from "./exit.ts";
import { openDetector } from "./openDetector.ts";
import * as options from "./options.ts";
import { Terminal, type TerminalOptions } from "./terminal.ts";

interface ExportValues extends TerminalOptions {
  readonly weights: string;
  readonly ema: boolean;
  readonly size?: [number, number];
  readonly format: Format;
  readonly dynamic: boolean;
  readonly post: boolean;
  readonly out: string;
}

/** What was written, and what it was held against. */
interface Written {
  readonly files: readonly string[];
  readonly text: string;
  readonly check?: { readonly runtime: string; readonly runs: readonly OnnxComparison[] } | null;
}

type Write = (detector: DFine, values: ExportValues, terminal: Terminal) => Promise<Written>;

type Format = "onnx" | "safetensors" | "huggingface";

const FORMATS: Readonly<Record<Format, Write>> = {
  onnx: writeOnnx,
  safetensors: async (detector, { out }) => {
    await writeNew(out, await exportSafetensors(detector));
    return { files: [out], text: "official names, for PyTorch" };
  },
  huggingface: async (detector, { out }) => {
    const files = Object.entries(await exportHuggingFace(detector));
    await makeFolder(out);
    for (const [name] of files) refuseOld(join(out, name));
    for (const [name, data] of files) await writeNew(join(out, name), data);
    return { files: files.map(([name]) => join(out, name)), text: "DFineForObjectDetection.from_pretrained loads it" };
  },
};

export function exportCommand(finish: (code: number) => void): Command {
  const command = new Command("export").description("write weights in formats that other programs read");
  options.addTo(command, [
    ...options.detector(),
    new Option("--format <format>", "what to write").choices(Object.keys(FORMATS)).default("onnx"),
    new Option(
      "--dynamic",
      "ONNX whose images may have any height and width (multiples of 32; of 64 for other DETRs than D-FINE)",
    ).default(false),
    new Option("--post", "ONNX that gives labels, boxes in pixels and scores, as the official one").default(false),
    new Option("--out <file>", "file to write, or the folder for huggingface").makeOptionMandatory(),
    ...options.talk(),
  ]);
  return command.action(async (values: ExportValues) => finish(await run(values)));
}

async function run(values: ExportValues): Promise<number> {
  const { format, dynamic, post, out } = values;
  const terminal = new Terminal(values);
  if (format !== "onnx" && (dynamic || post))
    throw new UsageError(`${dynamic ? "--dynamic" : "--post"} is for --format onnx; ${format} holds weights alone`);
  if (format !== "huggingface") refuseOld(out);
  using detector = await openDetector({ ...values, device: "cpu" }, terminal);
  const { files, text, check } = await FORMATS[format](detector, values, terminal);
  terminal.data({
    format,
    files,
    preset: detector.preset,
    size: detector.size,
    classes: detector.names,
    dynamic,
    post,
    check,
  });
  terminal.say(`${out}: ${titleOf(detector.preset)}, ${text}`);
  return EXIT.ok;
}

/** @throws UsageError where there is something of that name */
function refuseOld(path: string): void {
  if (existsSync(path)) throw new UsageError(`${path}: is there already; remove it, or give another --out`);
}

async function writeNew(path: string, data: Uint8Array | string): Promise<void> {
  refuseOld(path);
  await writeFileAtomic(path, data);
}

async function writeOnnx(detector: DFine, { out, dynamic, post }: ExportValues, terminal: Terminal): Promise<Written> {
  const file = await exportOnnx(detector, { dynamic, post });
  const { config } = detector.model;
  const [height, width] = roundedUp(config, detector.size);
  const sizes = dynamic ? [[height, width] as const, roundedUp(config, [height + 65, width + 1])] : [detector.size];
  terminal.note("comparing with onnxruntime-node");
  const runs = await compared(file, detector, { post, sizes });
  if (runs === undefined)
    terminal.warn(
      `${out} was not compared with this program, as onnxruntime-node is not installed: npm install onnxruntime-node, and export it again`,
    );
  const difference = Math.max(0, ...(runs ?? []).map((one) => one.difference));
  if (difference > ALIKE)
    throw new ExportError(
      `${out}: not written, since onnxruntime-node computes something else of it (a difference of ${difference.toExponential(1)}); please report it`,
    );
  await writeNew(out, file);
  const input = dynamic ? "images of any size" : `images of ${detector.size.join("x")}`;
  const told = runs ? `; onnxruntime-node agrees within ${difference.toExponential(1)}` : "; not compared";
  const check = runs ? { runtime: "onnxruntime-node", runs } : null;
  return { files: [out], text: `${input} to ${post ? "labels, boxes, scores" : "logits, boxes"}${told}`, check };
}

/** Undefined where there is nothing to compare with. */
async function compared(...call: Parameters<typeof checkOnnx>): Promise<OnnxComparison[] | undefined> {
  try {
    return await checkOnnx(...call);
  } catch (error) {
    if (error instanceof MissingPackageError) return undefined;
    throw error;
  }
}
