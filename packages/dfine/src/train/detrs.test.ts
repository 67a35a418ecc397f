import { existsSync } from "node:fs";
import { decodeTensor, readNamed } from "@dfine/nn";
import type { Backend } from "@dfine/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { shared } from "../../../../parity/referencePack.ts";
import { tinyDetr } from "../../test/tinyDetr.ts";
import { tinySource } from "../../test/tinyTraining.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { type Config, DETR_PRESET_NAMES } from "../config/config.ts";
import type { Methods } from "../config/criteria.ts";
import { createImage } from "../data/image.ts";
import { resolveBackend } from "../device.ts";
import { DFine } from "../dfine.ts";
import { createLoader } from "../node/data/loader.ts";
import { readCoco } from "../node/data/readCoco.ts";
import type { TrainingBatch } from "./batch.ts";
import { Trainer } from "./trainer.ts";

let backend: Backend;
let batches: TrainingBatch[];
beforeAll(async () => {
  batches = await fewBatches();
  backend = await resolveBackend("cpu", { threads: 1 });
});
afterAll(() => backend.dispose());

const plain: Methods = { fdr: false, goLsd: false };
const both: Methods = { fdr: true, goLsd: true };

/** Blood cells as the recipe prepares them; where they are absent bright rectangles, of which the second image is smaller. */
async function fewBatches(): Promise<TrainingBatch[]> {
  const batches: TrainingBatch[] = [];
  const folder = `${shared}data/bccd`;
  const sizes = [
    [96, 96],
    [80, 64],
  ] as const;
  const source = existsSync(folder)
    ? createLoader({
        dataset: await readCoco(`${folder}/annotations/train.json`),
        imageRoot: `${folder}/images`,
        ...{ size: [96, 128], resize: "shortestEdge", transforms: "detr", batchSize: 2, training: true },
      })
    : tinySource(4, (batch) => ({ ...batch, resize: "shortestEdge", validSizes: sizes }));
  for await (const batch of source.batches(0)) if (batches.push(batch) === 4) break;
  return batches;
}

const atRest = ({ train, ...rest }: Config): Config => ({
  ...rest,
  train: { ...train, optimizer: { ...train.optimizer, learningRate: 0, backboneLearningRate: 0 } },
});

/** The losses of the first two steps from such weights, of which nothing is learned: the same images, noise and dropout each time. */
async function judged(config: Config, weights: Uint8Array): Promise<number> {
  using judge = await Trainer.create({ config: atRest(config), backend, initial: openCheckpoint(weights) });
  return (await judge.step(batches[0]!, 20)).loss + (await judge.step(batches[1]!, 20)).loss;
}

/** How much of its loss is left after some steps on two batches; the weights, too. */
async function learned(config: Config, count: number): Promise<{ left: number; bytes: Uint8Array }> {
  using trainer = await Trainer.create({ config, backend });
  const before = await judged(config, await trainer.saveModel());
  for (let i = 0; i < count; i++) {
    const { loss, skipped } = await trainer.step(batches[i % 2]!, 20);
    expect([Number.isFinite(loss), skipped]).toEqual([true, false]);
  }
  const bytes = await trainer.saveModel();
  return { left: (await judged(config, bytes)) / before, bytes };
}

describe.each(DETR_PRESET_NAMES)("%s", (family) => {
  test.each([
    ["plain", plain],
    ["with FDR and GO-LSD", both],
  ])("learns, %s", async (_, methods) => {
    const config = tinyDetr(family, methods);
    const { left, bytes } = await learned(config, 20);
    expect(left).toBeLessThan(0.9);
    expect(openCheckpoint(bytes).model).toEqual(config.model);
    using detector = await DFine.fromPretrained(bytes, { device: backend });
    const [wide, high] = await detector.detect([createImage(100, 80), createImage(50, 96)], { threshold: 0 });
    expect(wide!.objects.length).toBeGreaterThan(0);
    expect(high!.objects.length).toBeGreaterThan(0);
  });
});

test("what does not learn keeps all of its loss", async () => {
  expect((await learned(atRest(tinyDetr("deformable-detr", both)), 2)).left).toBe(1);
});

test("a Deformable DETR trains with its dropout, which no evaluation has", async () => {
  const config = tinyDetr("deformable-detr", plain);
  const without = { ...config, train: { ...config.train, dropout: 0 } };
  expect(config.train.dropout).toBe(0.1);
  using one = await Trainer.create({ config, backend });
  using other = await Trainer.create({ config: without, backend });
  const bytes = await one.saveModel();
  expect(Buffer.compare(bytes, await other.saveModel())).toBe(0);
  const [dropped, whole] = [await one.step(batches[0]!, 20), await other.step(batches[0]!, 20)];
  expect(dropped.loss).not.toBe(whole.loss);
  expect(Math.abs(dropped.loss / whole.loss - 1)).toBeLessThan(0.2);
  using again = await Trainer.create({ config, backend, initial: openCheckpoint(bytes) });
  expect((await again.step(batches[0]!, 20)).losses).toEqual(dropped.losses);
  expect((await again.step(batches[0]!, 20)).loss).not.toBe(dropped.loss);
});

test.each(["dn-detr", "deformable-detr"] as const)(
  "a run of a %s that was stopped goes on with the same bits, noise and dropout too, without an average",
  async (family) => {
    const config = tinyDetr(family, both);
    const run = async (trainer: Trainer, some: readonly TrainingBatch[]) => {
      for (const batch of some) await trainer.step(batch, 20);
    };
    using whole = await Trainer.create({ config, backend });
    await run(whole, batches.slice(0, 4));
    using first = await Trainer.create({ config, backend });
    await run(first, batches.slice(0, 2));
    using second = await Trainer.restore(await first.saveState(), { config, backend });
    await run(second, batches.slice(2, 4));
    expect(Buffer.compare(await second.saveState(), await whole.saveState())).toBe(0);
    // What is kept are the weights themselves.
    const kept = openCheckpoint(await whole.saveModel()).entries;
    for (const [name, { data }] of await readNamed(whole.model.stateDict()))
      expect(decodeTensor(kept.get(name)!)).toEqual(data);
  },
);
