import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { PRESET_NAMES, type PresetName } from "dfine";

export const KINDS = ["kernels", "infer", "train", "start"] as const;
export type Kind = (typeof KINDS)[number];

const DEVICES = ["cpu", "webgpu"] as const;
export type BenchDevice = (typeof DEVICES)[number];

/** A wish that cannot be met; the message says what can. */
export class BenchError extends Error {
  override readonly name = "BenchError";
}

/** What one process measures. */
export interface Job {
  readonly kind: Kind;
  /** None for kernels and first detections. */
  readonly preset?: PresetName;
  readonly threads: number;
  readonly options: BenchOptions;
}

export interface BenchOptions {
  readonly only: readonly Kind[];
  readonly presets: readonly PresetName[];
  /** Side of the images of inference. */
  readonly size: number;
  /** Side of the images of a training step, and how many there are. */
  readonly trainSize: number;
  readonly trainBatch: number;
  /** Every work is measured with each of these numbers of threads. */
  readonly threads: readonly number[];
  /** Kernels of the CPU at twice the width, where it has them. */
  readonly wide: "auto" | false;
  readonly peers: boolean;
  /** Folder of ONNX files. */
  readonly peersFolder: string;
  /** A python3 that has torch, with which a training step is compared. */
  readonly torch: string | undefined;
  /** Another state of this repository, built, whose first detection and profiles are compared. */
  readonly before: string | undefined;
  /** Kernels whose names are listed; default all. */
  readonly names: readonly string[] | undefined;
  /** Whether it is also told where the time of ours goes. */
  readonly profile: boolean;
  readonly device: BenchDevice;
  /** Time for each implementation of each work. */
  readonly seconds: number;
  /** How often implementations take turns. */
  readonly rounds: number;
  readonly json: boolean;
}

export const USAGE = `npm run bench -- [--only ${KINDS}] [--preset ${PRESET_NAMES}] [--size 640] [--train-size 320] [--train-batch 4]
  [--threads 1,2] [--wide auto|off] [--peers] [--peers-folder DIR] [--torch PYTHON] [--before DIR] [--name KERNEL,KERNEL]
  [--profile] [--device cpu|webgpu] [--seconds 3] [--rounds 5] [--json]`;

function choices<Name extends string>(option: string, text: string, known: readonly Name[]): Name[] {
  return text.split(",").map((name) => {
    const found = known.find((candidate) => candidate === name.trim());
    if (found === undefined) throw new BenchError(`--${option}: ${name} is unknown; choose from ${known.join(", ")}`);
    return found;
  });
}

function positive(option: string, text: string, step?: number): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value) && (step === undefined || value % step === 0)) return value;
  const wanted = step === undefined ? "a number" : step === 1 ? "a whole number" : `a multiple of ${step}`;
  throw new BenchError(`--${option}: ${text} is not ${wanted} above 0`);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        only: { type: "string", default: KINDS.join() },
        preset: { type: "string", default: "n,s" },
        size: { type: "string", default: "640" },
        "train-size": { type: "string", default: "320" },
        "train-batch": { type: "string", default: "4" },
        threads: { type: "string", default: String(availableParallelism()) },
        wide: { type: "string", default: "auto" },
        peers: { type: "boolean", default: false },
        "peers-folder": { type: "string", default: "../shared/peers" },
        torch: { type: "string" },
        before: { type: "string" },
        name: { type: "string" },
        profile: { type: "boolean", default: false },
        device: { type: "string", default: "cpu" },
        seconds: { type: "string", default: "3" },
        rounds: { type: "string", default: "5" },
        json: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new BenchError(`${(error as Error).message}; use: ${USAGE}`);
  }
}

/** Reads the command line. @throws BenchError saying what there is to choose from */
export function parseOptions(args: readonly string[]): BenchOptions {
  const values = parse(args);
  return {
    only: choices("only", values.only, KINDS),
    presets: choices("preset", values.preset, PRESET_NAMES),
    size: positive("size", values.size, 32),
    trainSize: positive("train-size", values["train-size"], 32),
    trainBatch: positive("train-batch", values["train-batch"], 1),
    threads: values.threads.split(",").map((count) => positive("threads", count, 1)),
    wide: choices("wide", values.wide, ["auto", "off"])[0] === "off" ? false : "auto",
    peers: values.peers,
    peersFolder: resolve(values["peers-folder"]),
    torch: values.torch,
    before: values.before === undefined ? undefined : resolve(values.before),
    names: values.name?.split(",").map((name) => name.trim()),
    profile: values.profile,
    device: choices("device", values.device, DEVICES)[0]!,
    seconds: positive("seconds", values.seconds),
    rounds: positive("rounds", values.rounds, 1),
    json: values.json,
  };
}
