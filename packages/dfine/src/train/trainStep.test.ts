import type { Backend } from "@dfine/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tinyConfig, tinySource } from "../../test/tinyTraining.ts";
import { type Config, ConfigError } from "../config/config.ts";
import { resolveConfig } from "../config/resolve.ts";
import { resolveBackend } from "../device.ts";
import { batchParts, type TrainingBatch } from "./batch.ts";
import { readTrainState } from "./stateFile.ts";
import { Trainer } from "./trainer.ts";

let backend: Backend;
beforeAll(async () => {
  backend = await resolveBackend("cpu", { threads: 1 });
});
afterAll(() => backend.dispose());

async function batches(count: number): Promise<TrainingBatch[]> {
  const found: TrainingBatch[] = [];
  for await (const batch of tinySource(count).batches(0)) found.push(batch);
  return found;
}

/** The same batch twice over, as one. */
const doubled = (batch: TrainingBatch): TrainingBatch => ({
  ...batch,
  images: Float32Array.from([...batch.images, ...batch.images]),
  shape: [2 * batch.shape[0], 3, batch.shape[2], batch.shape[3]],
  targets: [...batch.targets, ...batch.targets],
  imageIds: [...batch.imageIds, ...batch.imageIds],
  origSizes: [...batch.origSizes, ...batch.origSizes],
});

/** What is left of steps over `list`. */
async function after(config: Config, list: readonly TrainingBatch[]) {
  using trainer = await Trainer.create({ config, backend });
  const results = [];
  for (const batch of list) results.push(await trainer.step(batch, list.length));
  return { results, ...readTrainState(await trainer.saveState()) };
}

/** Names of entries that have other values. */
const differing = (a: ReadonlyMap<string, { data: ArrayLike<number> }>, b: typeof a) =>
  [...a].flatMap(([name, { data }]) => (Array.from(data).some((x, i) => x !== b.get(name)!.data[i]) ? [name] : []));
const STATISTICS = /running_|num_batches/;

describe("accumulation", () => {
  const config = (accumulate: number) =>
    tinyConfig((c) => {
      Object.assign(c.model, { denoising: { ...c.model.denoising, numDenoising: 0 } });
      Object.assign(c.train, { accumulate });
    });

  test("of a batch that comes twice learns what the batch once teaches, to the bit", async () => {
    const list = (await batches(4))
      .filter(({ targets }) => targets.some(({ labels }) => labels.length > 0))
      .slice(0, 2);
    const [once, twice] = [await after(config(1), list), await after(config(2), list.map(doubled))];
    expect(twice.results).toEqual(once.results);
    expect(twice.optimizer).toEqual(once.optimizer);
    // Running statistics move twice.
    expect(differing(twice.model, once.model).filter((name) => !STATISTICS.test(name))).toEqual([]);
    expect(twice.progress.step).toBe(2);
  });

  test("gives each part noise of its own", async () => {
    const noisy = tinyConfig((c) => Object.assign(c.train, { accumulate: 2 }));
    const list = await batches(1);
    const [once, twice] = [await after(tinyConfig(), list), await after(noisy, list.map(doubled))];
    expect(twice.results[0]!.loss).not.toBe(once.results[0]!.loss);
  });

  test("wants parts of one size", () => {
    expect(() => resolveConfig({}, ["train.batch=6", "train.accumulate=4"])).toThrow(ConfigError);
    expect(() => resolveConfig({}, ["train.batch=6", "train.accumulate=4"])).toThrow(
      "train.accumulate 4 does not divide train.batch 6",
    );
  });

  test("cuts a batch into its images, in order", async () => {
    const [batch] = await batches(1);
    const parts = batchParts(doubled(batch!), 3);
    expect(parts.map(({ shape }) => shape[0])).toEqual([2, 2]);
    expect(batchParts(doubled(batch!), 4).map(({ imageIds }) => imageIds)).toEqual([[0], [1], [0], [1]]);
    expect(Float32Array.from(parts.flatMap(({ images }) => [...images]))).toEqual(doubled(batch!).images);
  });
});

test("what a step takes is measured without a trace", async () => {
  const [batch] = await batches(1);
  using trainer = await Trainer.create({ config: tinyConfig(), backend });
  const before = await trainer.saveState();
  const { seconds, bytes } = await trainer.measure(batch!);
  expect(Buffer.compare(await trainer.saveState(), before)).toBe(0);
  expect(seconds).toBeGreaterThan(0);
  expect(bytes).toBeGreaterThan(backend.memory().bytes);
});

test("blocks that are computed again teach the same, to the bit, and take less memory", async () => {
  const list = await batches(2);
  const peak = async (checkpoint: boolean) => {
    const own = await resolveBackend("cpu", { threads: 1 });
    using trainer = await Trainer.create({
      config: tinyConfig((c) => Object.assign(c.train, { checkpoint })),
      backend: own,
    });
    for (const batch of list) await trainer.step(batch, 2);
    const { peakBytes } = own.memory();
    const state = readTrainState(await trainer.saveState());
    own.dispose();
    return { peakBytes, state: { ...state, config: undefined } };
  };
  const [kept, again] = [await peak(false), await peak(true)];
  expect(again.state).toEqual(kept.state);
  expect(again.peakBytes).toBeLessThan(0.9 * kept.peakBytes);
});

describe("what is frozen stays as it is, statistics too, and the rest learns:", () => {
  const frozen = async (freeze: string[]) => {
    const config = tinyConfig((c) => Object.assign(c.train, { freeze }));
    using trainer = await Trainer.create({ config, backend });
    const before = readTrainState(await trainer.saveState()).model;
    const list = await batches(2);
    for (const batch of list) await trainer.step(batch, 2);
    return { changed: differing(before, readTrainState(await trainer.saveState()).model), names: [...before.keys()] };
  };

  test("the backbone", async () => {
    const { changed } = await frozen(["backbone"]);
    expect(changed.filter((name) => name.startsWith("backbone."))).toEqual([]);
    expect(changed.some((name) => name.startsWith("encoder.") && STATISTICS.test(name))).toBe(true);
  });

  test("all batch norms", async () => {
    const { changed, names } = await frozen(["norm"]);
    const norms = names
      .filter((name) => name.endsWith("running_mean"))
      .map((name) => name.replace(/running_mean$/, ""));
    expect(norms.length).toBeGreaterThan(0);
    expect(changed.filter((name) => norms.some((norm) => name.startsWith(norm)))).toEqual([]);
    expect(changed.some((name) => name.startsWith("backbone."))).toBe(true);
  });
});
