import { Random } from "@dfine/tensor";
import type { Config } from "../src/config/config.ts";
import { type PresetModel, presetConfig } from "../src/config/presets.ts";
import type { BatchSource, TrainingBatch } from "../src/train/batch.ts";
import { tinyModel } from "./tinyModel.ts";

type TinyConfig = Config & { model: PresetModel };

/** A recipe for a model of a few thousand parameters that learns visibly in a few steps. */
export function tinyConfig(change: (config: TinyConfig) => void = () => {}): TinyConfig {
  const base = presetConfig("n", "custom");
  const config: TinyConfig = {
    ...base,
    model: tinyModel(),
    train: {
      ...base.train,
      epochs: 2,
      batch: 2,
      optimizer: { ...base.train.optimizer, learningRate: 4e-3, backboneLearningRate: 4e-3 },
      schedule: { ...base.train.schedule, warmupSteps: 3 },
      ema: { ...base.train.ema, decay: 0.9, warmups: 4 },
    },
  };
  change(config);
  return config;
}

/** Batches of noise with bright rectangles, whose box counts change from batch to batch; some images are empty. */
export function tinySource(
  batches: number,
  change: (batch: TrainingBatch) => TrainingBatch = (batch) => batch,
): BatchSource {
  return sourceOf(batches, (random, index) => change(tinyBatch(random, { index, side: 96 })));
}

/** `tinySource` with images whose side in pixels is a function of the batch's index. */
export function noiseSource(batches: number, side: (index: number) => number): BatchSource {
  return sourceOf(batches, (random, index) => tinyBatch(random, { index, side: side(index) }));
}

function sourceOf(batches: number, make: (random: Random, index: number) => TrainingBatch): BatchSource {
  return {
    batchesPerEpoch: batches,
    async *batches(epoch, { start = 0 } = {}) {
      for (let index = start; index < batches; index++) yield make(new Random(5).fork(`${epoch} ${index}`), index);
    },
  };
}

function tinyBatch(random: Random, { index, side }: { index: number; side: number }): TrainingBatch {
  const images = Float32Array.from({ length: 2 * 3 * side * side }, () => 0.2 * random.uniform());
  const targets = [0, 1].map((b) => {
    const count = random.integer(4);
    const boxes = new Float32Array(4 * count);
    const labels = new Int32Array(count);
    for (let j = 0; j < count; j++) {
      const [cx, cy] = [0.3 + 0.4 * random.uniform(), 0.3 + 0.4 * random.uniform()];
      const [w, h] = [0.2 + 0.3 * random.uniform(), 0.2 + 0.3 * random.uniform()];
      labels[j] = random.integer(3);
      boxes.set([cx, cy, w, h], 4 * j);
      paint(images.subarray((b * 3 + labels[j]!) * side * side), side, [cx, cy, w, h]);
    }
    return { labels, boxes };
  });
  return {
    images,
    shape: [2, 3, side, side],
    targets,
    imageIds: [2 * index, 2 * index + 1],
    origSizes: [
      [side, side],
      [side, side],
    ],
    index,
  };
}

function paint(plane: Float32Array, side: number, [cx, cy, w, h]: readonly [number, number, number, number]): void {
  for (let y = Math.round((cy - h / 2) * side); y < (cy + h / 2) * side; y++)
    for (let x = Math.round((cx - w / 2) * side); x < (cx + w / 2) * side; x++) plane[y * side + x] = 1;
}
