import { cpu } from "@dfine/backend-cpu";
import { type Backend, liveStorages, OutOfMemoryError } from "@dfine/tensor";
import { expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { tinyConfig, tinySource } from "../../test/tinyTraining.ts";
import type { TrainingBatch } from "./batch.ts";
import { Trainer } from "./trainer.ts";

const MB = 1e6;

/** A batch put together from those of two images. */
async function batchOf(count: number): Promise<TrainingBatch> {
  const parts: TrainingBatch[] = [];
  for await (const batch of tinySource(count / 2).batches(0)) parts.push(batch);
  return {
    images: Float32Array.from(parts.flatMap(({ images }) => [...images])),
    shape: [count, 3, 96, 96],
    targets: parts.flatMap(({ targets }) => targets),
    imageIds: parts.flatMap(({ imageIds }) => imageIds),
    origSizes: parts.flatMap(({ origSizes }) => origSizes),
    index: 0,
  };
}

/** Highest use of a few training steps with all the memory there is. */
async function peakOf(batch: TrainingBatch): Promise<number> {
  const backend = cpu({ threads: 1 });
  using trainer = await Trainer.create({ config: tinyConfig(), backend });
  for (let i = 0; i < 2; i++) await trainer.step(batch, 1);
  const { peakBytes } = backend.memory();
  backend.dispose();
  return peakBytes;
}

const first = (batch: TrainingBatch, count: number): TrainingBatch => ({
  ...batch,
  images: batch.images.subarray(0, count * 3 * 96 * 96),
  shape: [count, 3, 96, 96],
  targets: batch.targets.slice(0, count),
});

test("a step that does not fit says what it needs and which batch fits, which then does, and nothing is changed", async () => {
  const batch = await batchOf(16);
  const [whole, half] = [await peakOf(batch), await peakOf(first(batch, 8))];
  // Less than a batch of 8 takes; the limit counts whole pages and what fragments.
  const limit = half * 0.9;
  const backend: Backend = cpu({ threads: 1, memoryLimitBytes: limit });
  using trainer = await Trainer.create({ config: tinyConfig(), backend });
  const before = await trainer.saveState();
  const error = await thrown(() => trainer.step(batch, 1));
  expect(error).toBeInstanceOf(OutOfMemoryError);
  says("memory-step", error);
  // Constants that the model makes once are there now.
  const storages = liveStorages();
  await thrown(() => trainer.step(batch, 1));
  expect(liveStorages()).toBe(storages);
  expect(Buffer.compare(await trainer.saveState(), before)).toBe(0);

  const [, needed, fitting] = /needs about (\d+) MB.*a batch of (\d+) would fit/.exec(error.message)!;
  expect(Math.abs((Number(needed) * MB) / whole - 1), `${needed} MB said, ${whole / MB} MB used`).toBeLessThan(0.25);
  expect([2, 4]).toContain(Number(fitting));
  // From here on it trains like one that never ran out of memory.
  const roomy = cpu({ threads: 1 });
  using other = await Trainer.create({ config: tinyConfig(), backend: roomy });
  const smaller = first(batch, Number(fitting));
  for (let i = 0; i < 3; i++) expect(await trainer.step(smaller, 1)).toEqual(await other.step(smaller, 1));
  expect(Buffer.compare(await trainer.saveState(), await other.saveState())).toBe(0);
  backend.dispose();
  roomy.dispose();
});
