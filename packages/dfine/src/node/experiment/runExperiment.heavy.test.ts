import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tinyModel } from "../../../test/tinyModel.ts";
import type { ConfigOptions } from "../../config/resolve.ts";
import { type DigitsDataset, makeDigits } from "../demo/digits.ts";
import { takeLock } from "../fileLock.ts";
import { EXPERIMENTS } from "./experiments.ts";
import { runExperiment } from "./runExperiment.ts";

let folder = "";
let digits: DigitsDataset;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-experiment-"));
  digits = await makeDigits({ folder: join(folder, "digits"), train: 10, val: 1, size: 64 });
});
afterAll(() => rm(folder, { recursive: true }));

/** Four epochs of five steps, so that the first quarter of the steps and the last see the same images; without validation. */
const { classes: _, ...model } = tinyModel((one) => {
  one.evalSize = [64, 64];
});
const tiny: ConfigOptions = {
  ...{ preset: "n", model },
  train: {
    ...{ epochs: 4, batch: 2, valBatch: 2, schedule: { warmupSteps: 2 }, ema: { decay: 0.9, warmups: 4 } },
    optimizer: { learningRate: 4e-3, backboneLearningRate: 4e-3 },
    augmentation: { transforms: [], stopEpoch: 2, baseSizeRepeat: null },
  },
};

const trainingImages = () => ({
  images: digits.train.imageRoot,
  annotations: join(folder, "digits/annotations/train.json"),
});

test.each(["table3", "table4", "table5"])(
  "%s: every row learns in 20 steps, and the table has all of them",
  async (name) => {
    const experiment = EXPERIMENTS[name]!;
    const keys = Object.keys(experiment.rows);
    let trainings = 0;
    const options = {
      ...{ experiment, folder: join(folder, name), options: [tiny], data: { train: trainingImages() } },
      ...{ device: "cpu" as const, threads: 1, maxSteps: 20, latency: false, workers: 0 },
      onEvent: (_: unknown, event: { kind: string }) => {
        if (event.kind === "started") trainings++;
      },
    };
    const { rows, unfinished } = await runExperiment(options);
    expect(unfinished).toBe(0);
    expect(rows.map(({ key }) => key)).toEqual(keys);
    for (const { key, firstLoss, lastLoss, aps, parameters, gflops } of rows) {
      expect(lastLoss, key).toBeLessThan(firstLoss!);
      expect(aps.length).toBe(1);
      expect(parameters).toBeGreaterThan(0);
      expect(gflops).toBeGreaterThan(0);
    }
    const texts = await Promise.all(
      ["table.md", "table.csv", "table.json", "index.html"].map((file) => readFile(join(folder, name, file), "utf8")),
    );
    expect(JSON.parse(texts[2]!).rows.length).toBe(keys.length);
    for (const text of texts.slice(0, 2))
      for (const key of keys) expect(text).toContain(experiment.rows[key]!.label.split(",")[0]);
    // What is finished is not trained again.
    const before = trainings;
    expect((await runExperiment(options)).rows).toEqual(rows);
    expect(trainings).toBe(before);
  },
);

test("a training that another process is at is told apart, and left alone", async () => {
  const experiment = EXPERIMENTS.table5!;
  const [key] = Object.keys(experiment.rows) as [string];
  const runs = join(folder, "busy/runs", key);
  await mkdir(runs, { recursive: true });
  await takeLock(join(runs, "seed0.lock"));
  const { unfinished, busy, rows } = await runExperiment({
    ...{ experiment, folder: join(folder, "busy"), options: [tiny], data: { train: trainingImages() } },
    ...{ rows: [key], device: "cpu", threads: 1, latency: false },
  });
  expect([unfinished, busy]).toEqual([1, 1]);
  expect(rows[0]!.aps).toEqual([]);
  expect(existsSync(join(runs, "seed0"))).toBe(false);
});
