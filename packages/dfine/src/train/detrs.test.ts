import { existsSync } from "node:fs";
import { decodeTensor, readNamed } from "@dfine/nn";
import type { Backend } from "@dfine/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { shared } from "../../../../parity/referencePack.ts";
import { tinyDetr } from "../../test/tinyDetr.ts";
import { tinySource } from "../../test/tinyTraining.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { DETR_PRESET_NAMES } from "../config/config.ts";
import type { Methods } from "../config/criteria.ts";
import { createImage } from "../data/image.ts";
import { resolveBackend } from "../device.ts";
import { DFine } from "../dfine.ts";
import { createLoader } from "../node/data/loader.ts";
import { readCoco } from "../node/data/readCoco.ts";
import type { TrainingBatch } from "./batch.ts";
import { Trainer } from "./trainer.ts";
import type { StepResult } from "./trainStep.ts";

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

const mean = (some: readonly StepResult[]) => some.reduce((sum, { loss }) => sum + loss, 0) / some.length;

describe.each(DETR_PRESET_NAMES)("%s", (family) => {
  test.each([
    ["plain", plain],
    ["with FDR and GO-LSD", both],
  ])("learns, %s", async (_, methods) => {
    const config = tinyDetr(family, methods);
    using trainer = await Trainer.create({ config, backend });
    const steps: StepResult[] = [];
    for (let i = 0; i < 20; i++) steps.push(await trainer.step(batches[i % 2]!, 20));
    expect(steps.every(({ loss, skipped }) => Number.isFinite(loss) && !skipped)).toBe(true);
    expect(mean(steps.slice(-4))).toBeLessThan(0.95 * mean(steps.slice(0, 4)));
    const bytes = await trainer.saveModel();
    expect(openCheckpoint(bytes).model).toEqual(config.model);
    using detector = await DFine.fromPretrained(bytes, { device: backend });
    const [wide, high] = await detector.detect([createImage(100, 80), createImage(50, 96)], { threshold: 0 });
    expect(wide!.objects.length).toBeGreaterThan(0);
    expect(high!.objects.length).toBeGreaterThan(0);
  });
});

test("a run of a DN-DETR that was stopped goes on with the same bits, without an average", async () => {
  const config = tinyDetr("dn-detr", both);
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
});
