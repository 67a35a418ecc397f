import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ArgumentError } from "@dfine/tensor";
import fc from "fast-check";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { says, thrown } from "../../../test/badInput.ts";
import { augmentationsSchema } from "../../data/augment/augmentations.ts";
import type { CocoDataset } from "../../data/dataset.ts";
import { DatasetError } from "../../data/errors.ts";
import { cocoDataset } from "../../data/parseCoco.ts";
import { loadData } from "./loadData.ts";
import { type Batch, createLoader, type LoaderOptions } from "./loader.ts";

const COUNT = 11;
let folder = "";
let dataset: CocoDataset;

/** Image i is 8 x 6, grey level 20 i with a white left column; one box on that column. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-loader-"));
  await mkdir(join(folder, "images"));
  for (let i = 0; i < COUNT; i++) {
    const data = new Uint8Array(8 * 6 * 3).fill(20 * i);
    for (let y = 0; y < 6; y++) data.fill(255, y * 24, y * 24 + 3);
    await sharp(data, { raw: { width: 8, height: 6, channels: 3 } })
      .png()
      .toFile(join(folder, `images/${i}.png`));
  }
  const json = {
    images: Array.from({ length: COUNT }, (_, id) => ({ id, file_name: `${id}.png`, width: 8, height: 6 })),
    categories: [{ id: 0, name: "column" }],
    annotations: Array.from({ length: COUNT - 1 }, (_, i) => ({
      id: i,
      image_id: i,
      category_id: 0,
      bbox: [0, 0, 1, 6],
      area: 6,
    })),
  };
  await writeFile(join(folder, "train.json"), JSON.stringify(json));
  await writeFile(join(folder, "data.yaml"), "train: { images: images, annotations: train.json }\nnames: [column]\n");
  dataset = cocoDataset(json, "train.json");
});
afterAll(() => rm(folder, { recursive: true }));

const mirrors: LoaderOptions["transforms"] = [{ name: "flip", probability: 0.5 }];
const loader = (options: Partial<LoaderOptions> = {}) =>
  createLoader({
    ...{ dataset, imageRoot: join(folder, "images"), size: [6, 8], batchSize: 3, training: true, transforms: mirrors },
    ...options,
  });

/** The same data set, in which one image is missing. */
const damaged = (): CocoDataset => ({
  ...dataset,
  images: dataset.images.map((image) => (image.id === 4 ? { ...image, fileName: "none.png" } : image)),
});

async function collect(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const all: Batch[] = [];
  for await (const batch of batches) all.push(batch);
  return all;
}
/** Grey level of an image's middle. */
const level = (batch: Batch, slot: number) => Math.round(batch.images[slot * 144 + 3 * 8 + 4]! * 255);

test("evaluation gives all images in id order, unflipped, the last batch partial", async () => {
  const batches = await collect(loader({ training: false }).batches(0));
  expect(batches.map(({ shape }) => shape[0])).toEqual([3, 3, 3, 2]);
  expect(batches.flatMap(({ imageIds }) => imageIds)).toEqual(Array.from({ length: COUNT }, (_, i) => i));
  for (const batch of batches) {
    batch.imageIds.forEach((id, slot) => {
      expect(level(batch, slot)).toBe(20 * id);
      expect(batch.images[slot * 144]).toBe(1);
      expect(batch.origSizes[slot]).toEqual([8, 6]);
      expect([...batch.targets[slot]!.boxes]).toEqual(id === COUNT - 1 ? [] : [0.0625, 0.5, 0.125, 1]);
    });
  }
});

test("training shuffles, drops the partial batch, and flips image and boxes together", async () => {
  const ids = new Set<string>();
  let flipped = 0;
  let seen = 0;
  for (let epoch = 0; epoch < 12; epoch++) {
    const batches = await collect(loader({ seed: 5 }).batches(epoch));
    expect(batches.map(({ shape, index, epoch: of }) => [shape[0], index, of])).toEqual(
      [0, 1, 2].map((i) => [3, i, epoch]),
    );
    const order = batches.flatMap(({ imageIds }) => imageIds);
    expect(new Set(order).size).toBe(9);
    ids.add(order.join());
    for (const batch of batches) {
      batch.imageIds.forEach((id, slot) => {
        expect(level(batch, slot)).toBe(20 * id);
        const mirrored = batch.images[slot * 144] !== 1;
        const [cx] = batch.targets[slot]!.boxes;
        if (id !== COUNT - 1) expect(cx).toBe(mirrored ? 0.9375 : 0.0625);
        expect(batch.images[slot * 144 + 7]).toBe(mirrored ? 1 : Math.fround((20 * id) / 255));
        seen++;
        if (mirrored) flipped++;
      });
    }
  }
  expect(ids.size).toBe(12);
  // A fair coin stays within four standard deviations.
  expect(Math.abs(flipped - seen / 2)).toBeLessThan(4 * Math.sqrt(seen / 4));
});

test("a batch depends on seed, epoch and index alone: resuming is exact, whatever is cached or prefetched", async () => {
  const whole = await collect(loader({ seed: 3 }).batches(4));
  await fc.assert(
    fc.asyncProperty(fc.nat(3), fc.nat(4), fc.constantFrom(0, 300, 1e9), async (start, prefetch, cacheBytes) => {
      const one = loader({ seed: 3, prefetch, cacheBytes });
      await collect(one.batches(1));
      expect(await collect(one.batches(4, { start }))).toEqual(whole.slice(start));
    }),
    { numRuns: 12 },
  );
  expect((await collect(loader({ seed: 4 }).batches(4))).map(({ imageIds }) => imageIds)).not.toEqual(
    whole.map(({ imageIds }) => imageIds),
  );
});

test("without augmentations nothing is mirrored", async () => {
  for (const batch of await collect(loader({ transforms: [] }).batches(0))) {
    for (let slot = 0; slot < 3; slot++) expect(batch.images[slot * 144]).toBe(1);
  }
});

test("threads make the same batches, whatever was asked of them before", async () => {
  const options = { transforms: augmentationsSchema.parse("official"), size: [64, 64], baseSizeRepeat: 1 } as const;
  const whole = await collect(loader(options).batches(2));
  expect(new Set(whole.map(({ shape }) => shape[2])).size).toBeGreaterThan(1);
  for (const workers of [1, 3]) {
    using one = loader({ ...options, workers });
    await collect(one.batches(1, { start: 2 }));
    expect(await collect(one.batches(2))).toEqual(whole);
    expect(await collect(one.batches(2, { start: 1 }))).toEqual(whole.slice(1));
  }
});

test("threads make the same batches of several images each", async () => {
  const options = { transforms: "mosaic", size: [32, 32] } as const;
  const whole = await collect(loader(options).batches(0));
  using one = loader({ ...options, workers: 2 });
  expect(await collect(one.batches(0, { start: 1 }))).toEqual(whole.slice(1));
});

test("threads say of the same images that they cannot be used", async () => {
  const met = async (workers: number) => {
    using one = loader({ training: false, imageRoot: join(folder, "images"), dataset: damaged(), workers });
    const batches = await collect(one.batches(0));
    return { ids: batches.map(({ imageIds }) => imageIds), broken: one.broken };
  };
  const { ids, broken } = await met(0);
  expect(broken).toHaveLength(1);
  expect(await met(2)).toEqual({ ids, broken });
  using strict = loader({ training: false, dataset: damaged(), mostBroken: 0, workers: 2 });
  await expect(collect(strict.batches(0))).rejects.toThrow(DatasetError);
});

test("from the stop epoch on, sizes and images are as they are", async () => {
  const options = { transforms: augmentationsSchema.parse("official"), size: [64, 64], baseSizeRepeat: 1 } as const;
  const calm = loader({ ...options, transforms: augmentationsSchema.parse([]), baseSizeRepeat: null });
  const without = options.transforms.filter(({ name }) => name !== "flip");
  const stopped = loader({ ...options, transforms: without, stopEpoch: 3 });
  expect(await collect(stopped.batches(3))).toEqual(await collect(calm.batches(3)));
  expect(await collect(stopped.batches(2))).not.toEqual(await collect(calm.batches(2)));
});

test("scaled and cropped, images of a batch are padded to one size, and boxes stay on what they were on", async () => {
  const options = { size: [24, 32], resize: "shortestEdge", transforms: "detr" } as const;
  let [boxes, padded] = [0, 0];
  for (let epoch = 0; epoch < 8; epoch++)
    for (const { images, shape, validSizes, targets } of await collect(loader(options).batches(epoch))) {
      const [count, , height, width] = shape;
      if (validSizes) padded++;
      for (let slot = 0; slot < count; slot++) {
        const [h, w] = validSizes?.[slot] ?? [height, width];
        expect(Math.min(h, w)).toBeGreaterThanOrEqual(Math.round(0.6 * 24));
        const at = (x: number, y: number) => images[(slot * 3 * height + Math.floor(y)) * width + Math.floor(x)]!;
        for (let i = 0; i < height * width; i++)
          if (i % width >= w || Math.floor(i / width) >= h) expect(at(i % width, Math.floor(i / width))).toBe(0);
        const [cx, cy, boxWidth] = targets[slot]!.boxes;
        if (cx === undefined) continue;
        boxes++;
        // The column is white in its middle, where the crop has not cut it thin; greys go up to 0.71.
        if (boxWidth! * w > 1.5) expect(at(cx * w, cy! * h)).toBeGreaterThan(0.75);
      }
    }
  expect(padded).toBeGreaterThan(5);
  expect(boxes).toBeGreaterThan(20);
});

test("in evaluation shortest edges have one size", async () => {
  const [batch] = await collect(loader({ size: [12, 99], resize: "shortestEdge", training: false }).batches(0));
  expect(batch!.shape).toEqual([3, 3, 12, 16]);
  expect(batch!.validSizes).toBeUndefined();
  expect([...batch!.targets[0]!.boxes]).toEqual([0.0625, 0.5, 0.125, 1]);
});

test("images are resized to the given height and width", async () => {
  const [batch] = await collect(loader({ size: [32, 64], batchSize: 9 }).batches(0));
  expect(batch!.shape).toEqual([9, 3, 32, 64]);
  expect(batch!.images).toHaveLength(9 * 3 * 32 * 64);
});

describe("stopping", () => {
  test("an aborted signal ends the iteration with its reason", async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const run = async () => {
      for await (const { index } of loader().batches(0, { signal: controller.signal })) {
        seen.push(index);
        controller.abort(new Error("stop now"));
      }
    };
    await expect(run()).rejects.toThrow("stop now");
    expect(seen).toEqual([0]);
  });

  test("leaving the loop early: what was read ahead fails unseen, and nothing more is read", async () => {
    const few = join(folder, "few");
    await mkdir(few);
    for (let i = 0; i < 3; i++) await copyFile(join(folder, `images/${i}.png`), join(few, `${i}.png`));
    const failures = vi.fn();
    process.on("unhandledRejection", failures);
    const one = loader({ imageRoot: few, training: false, prefetch: 1, mostBroken: 0 });
    for await (const { imageIds } of one.batches(0)) {
      expect(imageIds).toEqual([0, 1, 2]);
      break;
    }
    // The next batch was asked for, and the missing images of it are all that is met.
    await vi.waitUntil(() => one.broken.length === 3, { timeout: 20_000 });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(one.broken.map(({ id }) => id).sort()).toEqual([3, 4, 5]);
    expect(failures).not.toHaveBeenCalled();
    process.off("unhandledRejection", failures);
    // Who stays meets the failure.
    await expect(collect(loader({ imageRoot: few, training: false, mostBroken: 0 }).batches(0))).rejects.toThrow(
      DatasetError,
    );
  });
});

describe("what is wrong is said", () => {
  test("too few images for a batch, none at all, a batch of none, one that no device takes", async () => {
    says("images-too-few", await thrown(() => loader({ batchSize: 12 })));
    expect(() => loader({ dataset: { ...dataset, images: [] } })).toThrow(DatasetError);
    expect(() => loader({ batchSize: 0 })).toThrow(ArgumentError);
    expect(() => loader({ size: [64_000, 64_000] })).toThrow("use a smaller size");
    says("batch-too-large", await thrown(() => loader({ batchSize: 9, size: [12_800, 12_800] })));
  });
});

test("data.yaml leads to the data set; a part it lacks is named", async () => {
  const { train } = await loadData(join(folder, "data.yaml"), ["train"]);
  expect(train.imageRoot).toBe(join(folder, "images"));
  expect(train.dataset.images).toHaveLength(COUNT);
  await expect(loadData(join(folder, "data.yaml"), ["train", "val"])).rejects.toThrow(/has no val\. Add val:/);
  await expect(loadData(join(folder, "none.yaml"), ["train"])).rejects.toThrow(/none\.yaml: does not exist/);
});
