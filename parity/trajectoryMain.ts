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
import { judge, lossesOn, type StepLosses, type StepVerdict } from "./trajectory.ts";

const USAGE = `npm run trajectory -- [--device ${DEVICE_NAMES}] [--preset ${PRESET_NAMES}] [--size 320] [--batch 4] [--steps 10] [--seed 0]
  [--images DIR --annotations FILE] [--json] [key=value of the configuration]`;

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        device: { type: "string", default: "webgpu" },
        preset: { type: "string", default: "n" },
        size: { type: "string", default: "320" },
        batch: { type: "string", default: "4" },
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
    ok ? "passed" : "failed",
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
  const { flip } = config.train.augmentation;
  const loader = createLoader({ ...split, size, batchSize: batch, training: true, seed, flip });
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

async function main(): Promise<number> {
  const { config, batches, stepsPerEpoch, device, json } = await prepare();
  const on = async (backend: Backend, onLoss?: (loss: number) => void): Promise<number[]> => {
    const losses = await lossesOn(backend, config, { batches, stepsPerEpoch, ...(onLoss ? { onLoss } : {}) });
    backend.dispose();
    return losses;
  };
  const print = (text: string): void => void (json ? process.stderr : process.stdout).write(`${text}\n`);
  print(
    `D-FINE-${config.preset.toUpperCase()}, ${config.model.evalSize.join(" × ")}, batch ${config.train.batch}, load ${loadavg()[0]!.toFixed(1)}`,
  );
  print(line(COLUMNS));
  const plain = await on(cpu({ relaxedSimd: false }));
  const fused = await on(cpu({ relaxedSimd: true }));
  const losses: StepLosses[] = [];
  await on(await resolveBackend(device), (loss) => {
    const i = losses.length;
    losses.push({ device: loss, plain: plain[i]!, fused: fused[i]! });
    print(row(judge(losses)[i]!));
  });
  const verdicts = judge(losses);
  if (json) process.stdout.write(`${JSON.stringify({ steps: verdicts })}\n`);
  const failed = verdicts.filter(({ ok }) => !ok).length;
  print(`${verdicts.length - failed} passed, ${failed} failed, 0 skipped`);
  return failed === 0 && verdicts.length > 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof PackError)) throw error;
  process.stderr.write(`trajectory: ${error.message}\n`);
  process.exitCode = 2;
}
