import { cpu } from "@dfine/backend-cpu";
import { type Backend, liveStorages, OutOfMemoryError } from "@dfine/tensor";
import { expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { tinyModel } from "../../test/tinyModel.ts";
import { tinyConfig, tinySource } from "../../test/tinyTraining.ts";
import type { TrainingBatch } from "./batch.ts";
import { checkBatch } from "./checkBatch.ts";
import { type Trial, whatFits } from "./memoryAdvice.ts";
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

const model = tinyModel();
const blank = (count: number, height: number, width: number): TrainingBatch => ({
  images: new Float32Array(count * 3 * height * width),
  shape: [count, 3, height, width],
  targets: Array.from({ length: count }, () => ({ labels: new Int32Array(0), boxes: new Float32Array(0) })),
  imageIds: Array.from({ length: count }, (_, i) => i),
  origSizes: Array.from({ length: count }, () => [width, height] as const),
  index: 0,
});

/** A device with room for so many pixels beside 100 MB of weights, at 1000 bytes each. */
async function advice(pixels: number, [count, height, width]: [number, number, number]) {
  const tried: string[] = [];
  const trial: Trial = async (smaller) => {
    checkBatch(smaller, model);
    const [n, , h, w] = smaller.shape;
    tried.push(`${n} at ${h}x${w}`);
    if (n * h * w > pixels) throw new OutOfMemoryError("full", "less");
    return 100e6 + 1000 * n * h * w;
  };
  const error = new OutOfMemoryError("cpu: out of memory: 9 MiB asked for", "a batch of 40 % would fit");
  const found = await whatFits(error, blank(count, height, width), { trial, model, fixedBytes: 100e6 });
  return { message: found.message, tried };
}

test("the batch is halved until a step fits", async () => {
  const { message, tried } = await advice(2 * 320 * 320, [9, 320, 320]);
  expect(tried).toEqual(["4 at 320x320", "2 at 320x320"]);
  says("memory-batch", message);
});

test("then the image shrinks, in its form and in multiples of 32", async () => {
  const { message, tried } = await advice(200 * 300, [2, 320, 640]);
  expect(tried).toEqual(["1 at 320x640", "1 at 224x448", "1 at 160x320"]);
  says("memory-size", message);
});

test("where nothing fits, it is the model", async () => {
  const { message, tried } = await advice(1, [1, 128, 128]);
  expect(tried).toEqual(["1 at 64x64"]);
  says("memory-model", message);
});

test("other failures are not hidden", async () => {
  const trial: Trial = async () => {
    throw new RangeError("a fault");
  };
  const error = new OutOfMemoryError("full", "less");
  await expect(whatFits(error, blank(2, 96, 96), { trial, model, fixedBytes: 0 })).rejects.toThrow("a fault");
});
