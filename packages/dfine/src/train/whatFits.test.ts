import { OutOfMemoryError } from "@dfine/tensor";
import { expect, test } from "vitest";
import { says } from "../../test/badInput.ts";
import { tinyModel } from "../../test/tinyModel.ts";
import type { TrainingBatch } from "./batch.ts";
import { checkBatch } from "./checkBatch.ts";
import { type Trial, whatFits } from "./whatFits.ts";

const model = tinyModel();
const batch = (count: number, height: number, width: number): TrainingBatch => ({
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
  const found = await whatFits(error, batch(count, height, width), { trial, model, fixedBytes: 100e6 });
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
  await expect(whatFits(error, batch(2, 96, 96), { trial, model, fixedBytes: 0 })).rejects.toThrow("a fault");
});
