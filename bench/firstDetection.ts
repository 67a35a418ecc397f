import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import type { PresetName } from "dfine";
import type { BenchOptions } from "./options.ts";
import { peerFile } from "./peers.ts";
import { type Implementation, type Row, timesOf } from "./row.ts";

/** A program that detects once, in a process of its own. */
interface Starter {
  readonly implementation: Implementation;
  /** What `firstDetectionChild.ts` is given: this repository or another state of it, or a peer; and the weights. */
  readonly args: readonly string[];
}

/** Milliseconds of one start. */
interface Start {
  /** Since the process began. */
  readonly fromStart: number;
  /** Since the library was loaded: opening the weights, and the first run. */
  readonly openAndRun: number;
}

const CHILD = join(import.meta.dirname, "firstDetectionChild.ts");
const ROOT = join(import.meta.dirname, "..");

/** First weights of a preset as a state of this repository writes them, which need not know what later ones write. */
async function writeWeights(root: string, { preset, file }: { preset: PresetName; file: string }): Promise<string> {
  const url = pathToFileURL(join(root, "packages/dfine/dist/index.js")).href;
  const { DFine } = (await import(url)) as typeof import("dfine");
  using detector = await DFine.create({ model: preset, classes: 80, device: "cpu", threads: 1 });
  await writeFile(file, await detector.save());
  return file;
}

async function start({ args }: Starter, threads: number): Promise<Start> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--no-warnings", CHILD, ...args, String(threads)]);
  return JSON.parse(stdout) as Start;
}

/** Times until a process that has just begun has detected something, by ours, its state `before`, and onnxruntime-web. */
export async function firstDetections(
  options: Pick<BenchOptions, "presets" | "peersFolder" | "before" | "rounds"> & { readonly threads: number },
): Promise<Row[]> {
  const { presets, peersFolder, before, rounds, threads } = options;
  const folder = await mkdtemp(join(tmpdir(), "dfine-bench-"));
  const rows: Row[] = [];
  for (const preset of presets) {
    const write = (root: string, name: string) => writeWeights(root, { preset, file: join(folder, name) });
    const onnx = peerFile({ folder: peersFolder, name: `dfine_${preset}` });
    const starters: Starter[] = [
      { implementation: "ours", args: [ROOT, await write(ROOT, `${preset}.safetensors`)] },
      ...(before
        ? [{ implementation: "before", args: [before, await write(before, `${preset}-before.safetensors`)] } as const]
        : []),
      ...(onnx ? [{ implementation: "onnxruntime-web", args: ["onnxruntime-web", onnx] } as const] : []),
    ];
    const starts = starters.map((): Start[] => []);
    for (let round = 0; round < rounds; round++)
      for (const [i, starter] of starters.entries()) starts[i]!.push(await start(starter, threads));
    for (const [i, { implementation }] of starters.entries())
      for (const [name, key] of [
        [`first_detection_${preset}`, "fromStart"],
        [`open_and_run_${preset}`, "openAndRun"],
      ] as const)
        rows.push({
          ...{ work: "start", preset, name, size: 640, batch: 1, threads, implementation },
          ...timesOf(starts[i]!.map((each) => each[key])),
        });
  }
  await rm(folder, { recursive: true });
  return rows;
}
