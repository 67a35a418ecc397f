import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { cpu } from "@dfine/backend-cpu";
import type { Backend } from "@dfine/tensor";
import { PRESET_NAMES } from "../packages/dfine/src/config/config.ts";
import { resolveConfig } from "../packages/dfine/src/config/resolve.ts";
import { DEVICE_NAMES, resolveBackend } from "../packages/dfine/src/device.ts";
import { createLoader, type DatasetSplit, makeDigits, readCoco } from "../packages/dfine/src/node/index.ts";
import type { TrainingBatch } from "../packages/dfine/src/train/batch.ts";
import { PackError } from "./pack.ts";
import { type DoneStep, judge, type Lesson, lossesNearby, relative, type StepVerdict, stepsOn } from "./trajectory.ts";

const USAGE = `npm run trajectory -- [--device ${DEVICE_NAMES}] [--preset ${PRESET_NAMES}] [--size 320] [--batch 8] [--steps 10] [--seed 0]
  [--images DIR --annotations FILE] [--json] [key=value of the configuration]`;

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        device: { type: "string", default: "webgpu" },
        preset: { type: "string", default: "n" },
        size: { type: "string", default: "320" },
        batch: { type: "string", default: "8" },
        steps: { type: "string", default: "10" },
        seed: { type: "string", default: "0" },
        images: { type: "string" },
        annotations: { type: "string" },
        json: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    throw new PackError(`${(error as Error).message}; use: ${USAGE}`);
  }
}

function oneOf<Name extends string>(option: string, text: string, known: readonly Name[]): Name {
  const found = known.find((name) => name === text);
  if (found === undefined) throw new PackError(`--${option}: ${text} is unknown; choose from ${known.join(", ")}`);
  return found;
}

/** The images to learn from: those given, or digits drawn for `count` images. */
async function trainingData(given: { images?: string; annotations?: string }, count: number): Promise<DatasetSplit> {
  if (given.images !== undefined && given.annotations !== undefined)
    return { dataset: await readCoco(given.annotations), imageRoot: given.images };
  if (given.images ?? given.annotations) throw new PackError("--images and --annotations go together");
  const folder = await mkdtemp(join(tmpdir(), "dfine-trajectory-"));
  process.once("exit", () => rmSync(folder, { recursive: true }));
  return (await makeDigits({ folder: join(folder, "digits"), train: count, val: 1 })).train;
}

const COLUMNS = ["step", "device", "CPU, fused", "CPU, plain", "difference", "CPU's own", "allowed", "verdict"];
const line = (cells: readonly string[]): string => cells.map((cell) => cell.padStart(10)).join(" | ");
const row = ({ step, device, fused, plain, difference, spread, allowed, ok }: StepVerdict): string =>
  line([
    String(step),
    ...[device, fused, plain].map((loss) => loss.toFixed(5)),
    ...[difference, spread, allowed].map((share) => share.toExponential(2)),
    ok ? "passed" : "differs",
  ]);

async function prepare() {
  const { values, positionals } = parse();
  const number = (option: "batch" | "steps" | "size" | "seed"): number => Number(values[option]);
  const [batch, steps, side, seed] = [number("batch"), number("steps"), number("size"), number("seed")];
  const split = await trainingData(values, batch * steps);
  const classes = split.dataset.categories.map(({ name }) => name);
  const preset = oneOf("preset", values.preset, PRESET_NAMES);
  const config = resolveConfig(
    { preset, model: { classes, evalSize: [side, side] }, train: { batch, seed } },
    positionals,
  );
  const { evalSize: size } = config.model;
  const loader = createLoader({ ...split, size, batchSize: batch, training: true, seed, ...config.train.augmentation });
  const batches: TrainingBatch[] = [];
  for await (const each of loader.batches(0)) if (batches.push(each) === steps) break;
  const { device, json } = values;
  return {
    config,
    batches,
    stepsPerEpoch: loader.batchesPerEpoch,
    device: oneOf("device", device, DEVICE_NAMES),
    json,
  };
}

/** Times that a step which differs is done again on the CPU. */
const RETRIES = 8;
/** Relative difference of losses at which the same ties have fallen the same way. */
const SAME = 1e-4;

async function lossesOf(backend: Backend, lesson: Lesson): Promise<number[]> {
  const losses: number[] = [];
  for await (const { loss } of stepsOn(backend, lesson)) losses.push(loss);
  backend.dispose();
  return losses;
}

/** In how many of `RETRIES` the CPU, from the device's weights, gives the device's loss. */
async function reproduced(done: DoneStep, lesson: Lesson): Promise<number> {
  const backend = cpu();
  const losses = await lossesNearby(backend, done, { ...lesson, count: RETRIES });
  backend.dispose();
  return losses.filter((loss) => relative(done.loss, loss) <= SAME).length;
}

async function main(): Promise<number> {
  const { device, json, ...lesson } = await prepare();
  const { preset, model, train } = lesson.config;
  const print = (text: string): void => void (json ? process.stderr : process.stdout).write(`${text}\n`);
  print(
    `D-FINE-${preset.toUpperCase()}, ${model.evalSize.join(" × ")}, batch ${train.batch}, load ${loadavg()[0]!.toFixed(1)}`,
  );
  print(line(COLUMNS));
  const plain = await lossesOf(cpu({ relaxedSimd: false }), lesson);
  const fused = await lossesOf(cpu({ relaxedSimd: true }), lesson);
  const backend = await resolveBackend(device);
  const steps: (StepVerdict & { reproduced?: number })[] = [];
  for await (const done of stepsOn(backend, lesson)) {
    const i = steps.length;
    const verdict = judge(i + 1, { device: done.loss, plain: plain[i]!, fused: fused[i]! });
    print(row(verdict));
    steps.push(verdict.ok ? verdict : { ...verdict, reproduced: await reproduced(done, lesson) });
    const { reproduced: times } = steps[i]!;
    if (times !== undefined)
      print(
        `      from the same weights the CPU gives ${done.loss.toFixed(5)} in ${times} of ${RETRIES} runs with pixels moved in their last bits${times > 0 ? ": it hangs on a tie" : ""}`,
      );
  }
  backend.dispose();
  if (json) process.stdout.write(`${JSON.stringify({ steps })}\n`);
  const passed = steps.filter(({ ok }) => ok).length;
  const ties = steps.filter(({ reproduced: times = 0 }) => times > 0).length;
  const failed = steps.length - passed;
  const largest = (share: "difference" | "spread"): string =>
    Math.max(...steps.map((verdict) => verdict[share])).toExponential(2);
  print(`largest difference ${largest("difference")}; the CPU's own ${largest("spread")}`);
  print(
    `${passed} passed, ${failed} failed, 0 skipped${ties > 0 ? `; ${ties} of those that failed hung on ties, which fall either way on the CPU too` : ""}`,
  );
  return failed === 0 && passed > 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof PackError)) throw error;
  process.stderr.write(`trajectory: ${error.message}\n`);
  process.exitCode = 2;
}
