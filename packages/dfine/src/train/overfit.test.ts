import type { Backend } from "@dfine/tensor";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tinyConfig, tinySource } from "../../test/tinyTraining.ts";
import { resolveConfig } from "../config/resolve.ts";
import type { CocoDataset } from "../data/dataset.ts";
import { cocoDataset } from "../data/parseCoco.ts";
import { resolveBackend } from "../device.ts";
import type { BatchSource, TrainingBatch } from "./batch.ts";
import { OVERFIT, overfit } from "./overfit.ts";
import { Trainer } from "./trainer.ts";

let backend: Backend;
beforeAll(async () => {
  backend = await resolveBackend("cpu", { threads: 1 });
});
afterAll(() => backend.dispose());

const config = resolveConfig([tinyConfig(), OVERFIT]);

/** The data set that batches were made of. */
async function datasetOf(source: BatchSource): Promise<CocoDataset> {
  const json = { images: [] as object[], annotations: [] as object[] };
  for await (const { imageIds, targets, origSizes } of source.batches(0))
    for (const [slot, image_id] of imageIds.entries()) {
      const [width, height] = origSizes[slot]!;
      json.images.push({ id: image_id, file_name: `${image_id}.png`, width, height });
      for (const [i, category_id] of targets[slot]!.labels.entries()) {
        const [cx, cy, w, h] = targets[slot]!.boxes.subarray(4 * i, 4 * i + 4) as unknown as [
          number,
          number,
          number,
          number,
        ];
        const bbox = [(cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height];
        json.annotations.push({ id: json.annotations.length, image_id, category_id, bbox });
      }
    }
  const categories = ["one", "two", "three"].map((name, id) => ({ id, name }));
  return cocoDataset({ ...json, categories }, "tiny.json");
}

async function learn(change: (batch: TrainingBatch) => TrainingBatch, maxSteps: number) {
  const source = tinySource(3, change);
  using trainer = await Trainer.create({ config, backend });
  return await overfit({ trainer, source, dataset: await datasetOf(source), maxSteps });
}

test("a batch whose boxes belong to its images is learned by heart; without objects there is nothing to learn", async () => {
  const result = await learn((batch) => batch, 600);
  expect(result).toMatchObject({ learned: true, imageIds: [0, 1] });
  expect(result.loss).toBeLessThan(result.firstLoss / 2);
  expect(result.ap50).toBeGreaterThan(0.9);
  const empty = { labels: new Int32Array(), boxes: new Float32Array() };
  await expect(learn((batch) => ({ ...batch, targets: [empty, empty] }), 1)).rejects.toThrow("no batch with objects");
});

test("one image under other boxes each time is not", async () => {
  const plane = 3 * 96 * 96;
  const result = await learn(({ images, ...batch }) => {
    const twice = new Float32Array(images.length);
    for (const at of [0, plane]) twice.set(images.subarray(0, plane), at);
    return { ...batch, images: twice };
  }, 125);
  expect(result).toMatchObject({ learned: false, steps: 125 });
});
