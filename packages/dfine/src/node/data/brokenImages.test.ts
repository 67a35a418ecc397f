import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { says, thrown } from "../../../test/badInput.ts";
import type { CocoDataset } from "../../data/dataset.ts";
import { cocoDataset } from "../../data/parseCoco.ts";
import type { Predictor } from "../../predictor.ts";
import { evaluate } from "../../train/evaluate.ts";
import type { BrokenImage } from "./brokenImages.ts";
import { checkImages } from "./checkImages.ts";
import { type Batch, createLoader, type LoaderOptions } from "./loader.ts";

const COUNT = 8;
/** Cut short. */
const BROKEN = 3;
let folder = "";
let dataset: CocoDataset;

/** Image i is 8 x 8 of grey level 20 i, with a box on all of it. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-broken-"));
  await mkdir(join(folder, "images"));
  for (let i = 0; i < COUNT; i++) {
    const noise = Uint8Array.from({ length: 192 }, (_, k) => (k % 3 === 0 ? 20 * i : (k * k) % 256));
    const path = join(folder, "images", `${i}.png`);
    await sharp(noise, { raw: { width: 8, height: 8, channels: 3 } })
      .png()
      .toFile(path);
    if (i === BROKEN) await truncate(path, 120);
  }
  const rows = Array.from({ length: COUNT }, (_, id) => id);
  dataset = cocoDataset(
    {
      images: rows.map((id) => ({ id, file_name: `${id}.png`, width: 8, height: 8 })),
      categories: [{ id: 0, name: "all" }],
      annotations: rows.map((id) => ({ id, image_id: id, category_id: 0, bbox: [0, 0, 8, 8], area: 64, iscrowd: 0 })),
    },
    "some.json",
  );
});
afterAll(() => rm(folder, { recursive: true }));

const loader = (options: Partial<LoaderOptions> = {}) =>
  createLoader({ dataset, imageRoot: join(folder, "images"), size: [8, 8], batchSize: 2, training: true, ...options });
const collect = async (batches: AsyncIterable<Batch>): Promise<Batch[]> => {
  const all: Batch[] = [];
  for await (const batch of batches) all.push(batch);
  return all;
};

describe("training", () => {
  test("goes on with the next image of the epoch's order in place of one that is damaged, which is said once", async () => {
    const told: BrokenImage[] = [];
    const [some, all] = [loader({ onBroken: (image) => told.push(image) }), loader({ mostBroken: 1 })];
    // The order itself, from a data set whose images are all fine.
    const whole = { ...dataset, images: dataset.images.map((image) => ({ ...image, fileName: "0.png" })) };
    for (let epoch = 0; epoch < 4; epoch++) {
      const order = (await collect(loader({ dataset: whole }).batches(epoch))).flatMap(({ imageIds }) => imageIds);
      const batches = await collect(some.batches(epoch));
      const expected = order.map((id, i) => (id === BROKEN ? order[(i + 1) % COUNT] : id));
      expect(batches.map(({ shape }) => shape[0])).toEqual([2, 2, 2, 2]);
      expect(batches.flatMap(({ imageIds }) => imageIds)).toEqual(expected);
      for (const { imageIds, images, targets } of batches)
        imageIds.forEach((id, slot) => {
          expect(Math.round(images[slot * 192]! * 255)).toBe(20 * id);
          expect(targets[slot]!.labels).toHaveLength(1);
        });
      expect(await collect(all.batches(epoch, { start: 1 }))).toEqual(batches.slice(1));
    }
    expect(told.map(({ id }) => id)).toEqual([BROKEN]);
    expect(some.broken).toEqual(told);
    says("image-left-out", told[0]!.message);
  });

  test("stops where too many are damaged, or where none may be", async () => {
    const missing = (ids: number[]) => ({
      ...dataset,
      images: dataset.images.map((image) => (ids.includes(image.id) ? { ...image, width: 9 } : image)),
    });
    const drain = (options: Partial<LoaderOptions>) => thrown(() => collect(loader(options).batches(0)));
    says("images-too-many-broken", await drain({ dataset: missing([1]) }));
    says("images-none-broken", await drain({ mostBroken: 0 }));
    const stopped = loader({ mostBroken: 0 });
    const first = await thrown(() => collect(stopped.batches(0)));
    for (const epoch of [0, 1]) expect(await thrown(() => collect(stopped.batches(epoch)))).toBe(first);
    says("images-all-broken", await drain({ dataset: missing([0, 1, 2, 4, 5, 6, 7]), mostBroken: 1 }));
    await expect(collect(loader({ dataset: missing([1]), mostBroken: 0.25 }).batches(0))).resolves.toHaveLength(4);
  });
});

test("in evaluation a damaged image counts as one in which nothing was found: [image-broken-in-val]", async () => {
  const perfect: Predictor = async ({ origSizes }) =>
    origSizes.map(() => ({
      labels: Int32Array.of(0),
      boxes: Float64Array.of(0, 0, 8, 8),
      scores: Float64Array.of(0.9),
    }));
  for (const batchSize of [1, 3, 8]) {
    const source = loader({ training: false, batchSize });
    const { result, detections } = await evaluate(perfect, source, { dataset });
    expect(detections.map(({ imageId }) => imageId)).toEqual([0, 1, 2, 4, 5, 6, 7]);
    // 7 of 8 objects are found, all rightly: precision 1 at the 88 recall levels up to 0.87.
    expect(result.stats.AP).toBeCloseTo(88 / 101, 12);
    expect(result.stats.AR100).toBeCloseTo(7 / 8, 12);
    expect(source.broken.map(({ id }) => id)).toEqual([BROKEN]);
  }
});

describe("files are looked for before anything starts", () => {
  const split = (fileNames: readonly string[], imageRoot = join(folder, "images")) => ({
    imageRoot,
    dataset: { ...dataset, images: fileNames.map((fileName, id) => ({ ...dataset.images[0]!, id, fileName })) },
  });

  test("all are there", async () => {
    await expect(checkImages({ dataset, imageRoot: join(folder, "images") })).resolves.toBeUndefined();
  });

  test("some or all are missing, the folder is", async () => {
    const names = Array.from({ length: 200 }, (_, i) => (i % 20 === 7 ? `gone${i}.png` : "0.png"));
    says("images-missing", await thrown(() => checkImages(split(names))));
    says("images-missing-parent", await thrown(() => checkImages(split(["images/0.png"]))));
    says("images-no-folder", await thrown(() => checkImages(split(["0.png"], join(folder, "none")))));
  });

  test("names that lead out of the folder are refused, links too", async () => {
    await writeFile(join(folder, "secret.png"), await readFile(join(folder, "images/0.png")));
    await symlink(join(folder, "secret.png"), join(folder, "images/link.png"));
    says("image-outside", await thrown(() => checkImages(split(["0.png", "../secret.png"]))));
    says("image-link-outside", await thrown(() => checkImages(split(["0.png", "link.png"]))));
  });
});
