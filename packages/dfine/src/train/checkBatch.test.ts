import { expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { tinyModel } from "../../test/tinyModel.ts";
import { tinySource } from "../../test/tinyTraining.ts";
import type { TrainingBatch } from "./batch.ts";
import { checkBatch } from "./checkBatch.ts";

const model = tinyModel();
const batches: TrainingBatch[] = [];
for await (const batch of tinySource(4).batches(0)) batches.push(batch);
const good: TrainingBatch = {
  ...batches[0]!,
  targets: [
    { labels: Int32Array.of(0, 2), boxes: Float32Array.of(0.5, 0.5, 1, 1, 0.25, 0.25, 0.5, 0.5) },
    { labels: new Int32Array(0), boxes: new Float32Array(0) },
  ],
};
const target = (label: number, ...box: number[]): Partial<TrainingBatch> => ({
  targets: [{ labels: Int32Array.of(label), boxes: Float32Array.from(box) }, good.targets[1]!],
});

test("batches as loaders make them pass, empty images, padded ones and boxes at the edge too", () => {
  const padded: TrainingBatch = {
    ...good,
    validSizes: [
      [96, 40],
      [1, 96],
    ],
  };
  for (const batch of [...batches, good, padded]) expect(() => checkBatch(batch, model)).not.toThrow();
});

test.each<[row: string, change: Partial<TrainingBatch>]>([
  ["batch-channels", { shape: [2, 4, 96, 96] }],
  ["batch-values", { images: good.images.subarray(1) }],
  ["batch-targets", { targets: good.targets.slice(1) }],
  ["batch-size", { shape: [2, 3, 90, 96], images: good.images.subarray(0, 2 * 3 * 90 * 96) }],
  ["batch-valid", { validSizes: [[96, 96]] }],
  [
    "batch-valid",
    {
      validSizes: [
        [96, 96],
        [97, 96],
      ],
    },
  ],
  [
    "batch-valid",
    {
      validSizes: [
        [96, 96],
        [96, 0],
      ],
    },
  ],
  ["batch-label", target(3, 0.5, 0.5, 0.1, 0.1)],
  ["batch-label", target(-1, 0.5, 0.5, 0.1, 0.1)],
  ["batch-labels", target(1, 0.5, 0.5, 0.1)],
  ["batch-pixels", target(1, 48, 48, 20, 10)],
  ["batch-box", target(1, 0.5, 0.5, 0, 0.1)],
  ["batch-box", target(1, 0.5, 0.5, 0.1, -0.1)],
  ["batch-box", target(1, 0.5, 0.5, 1.2, 0.1)],
  ["batch-box", target(1, Number.NaN, 0.5, 0.1, 0.1)],
  ["batch-box", target(1, 0.5, 0.5, Number.NaN, 0.1)],
])("%s", async (row, change) => {
  const error = await thrown(() => checkBatch({ ...good, ...change }, model));
  says(row, error);
});
