import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Random } from "@dfine/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeImage } from "../data/decode.ts";
import { loadData } from "../data/loadData.ts";
import { type DigitsDataset, makeDigits } from "./digits.ts";
import { createDraws } from "./draws.ts";
import { type Handwriting, readHandwriting, samplesFor } from "./handwriting.ts";
import { drawScene, emptyScene } from "./scene.ts";

let folder = "";
let handwriting: Handwriting;
let digits: DigitsDataset;
const options = () => ({ folder: join(folder, "digits"), train: 12, val: 5, size: 128, seed: 3 });
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-digits-"));
  handwriting = await readHandwriting();
  digits = await makeDigits(options());
});
afterAll(() => rm(folder, { recursive: true }));

test("training and validation share no sample of handwriting", () => {
  for (let digit = 0; digit < 10; digit++) {
    const hash = (sample: Uint8Array) => createHash("sha1").update(sample).digest("hex");
    const train = new Set(samplesFor(handwriting, "train")[digit]!.map(hash));
    const val = samplesFor(handwriting, "val")[digit]!.map(hash);
    expect(train.size).toBeGreaterThan(600);
    expect(val.length).toBeGreaterThan(150);
    expect(val.filter((one) => train.has(one))).toEqual([]);
  }
});

describe("scenes", () => {
  const samples = () => samplesFor(handwriting, "train");

  test("are a function of key and size", () => {
    expect(drawScene(new Random(5), 96, { samples: samples() })).toEqual(
      drawScene(new Random(5), 96, { samples: samples() }),
    );
    expect(drawScene(new Random(6), 96, { samples: samples() }).image).not.toEqual(
      drawScene(new Random(5), 96, { samples: samples() }).image,
    );
  });

  test("hold 1 to 6 digits of the promised size inside the image, hardly overlapping, all classes over time", () => {
    const classes = new Set<number>();
    const counts = new Set<number>();
    for (let key = 0; key < 60; key++) {
      const scene = drawScene(new Random(key), 256, { samples: samples() });
      counts.add(scene.digits.length);
      for (const [i, { digit, bbox }] of scene.digits.entries()) {
        classes.add(digit);
        const [x, y, w, h] = bbox;
        expect(x >= 0 && y >= 0 && x + w <= 256 && y + h <= 256).toBe(true);
        // Turning by 12 degrees may add to an upright height of 40 to 120; cutting at half opacity takes a little.
        expect(h >= 36 && h <= 150 && w >= 3).toBe(true);
        for (const other of scene.digits.slice(0, i)) {
          const across = Math.min(x + w, other.bbox[0] + other.bbox[2]) - Math.max(x, other.bbox[0]);
          const down = Math.min(y + h, other.bbox[1] + other.bbox[3]) - Math.max(y, other.bbox[1]);
          const shared = Math.max(0, across) * Math.max(0, down);
          expect(shared).toBeLessThanOrEqual(0.05 * Math.min(w * h, other.bbox[2] * other.bbox[3]));
        }
      }
    }
    expect(classes.size).toBe(10);
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(1);
    expect(Math.max(...counts)).toBe(6);
  });

  test("change nothing outside the boxes, and every box is tight around clear ink", () => {
    for (let key = 0; key < 30; key++) {
      const { image, digits: placed } = drawScene(new Random(key), 256, { samples: samples() });
      const { image: empty } = emptyScene(createDraws(new Random(key)), 256);
      const change = Array.from({ length: 256 * 256 }, (_, p) =>
        Math.max(...[0, 1, 2].map((c) => Math.abs(image.data[p * 3 + c]! - empty.data[p * 3 + c]!))),
      );
      const seen = new Set<number>();
      for (const { bbox } of placed) {
        const [x, y, w, h] = bbox;
        const pixels = (left: number, top: number, width: number, height: number) =>
          Array.from({ length: width * height }, (_, i) => (top + Math.floor(i / width)) * 256 + left + (i % width));
        const strongest = (list: number[]) => Math.max(...list.map((p) => change[p]!));
        for (const edge of [
          pixels(x, y, w, 1),
          pixels(x, y + h - 1, w, 1),
          pixels(x, y, 1, h),
          pixels(x + w - 1, y, 1, h),
        ]) {
          expect(strongest(edge)).toBeGreaterThan(20);
        }
        expect(strongest(pixels(x, y, w, h))).toBeGreaterThan(70);
        for (const p of pixels(x, y, w, h)) seen.add(p);
      }
      expect(change.every((value, p) => value === 0 || seen.has(p))).toBe(true);
    }
  });
});

test("the folder holds PNG images, COCO annotations and a data.yaml that leads to them", async () => {
  expect(digits.generated).toBe(true);
  const splits = await loadData(digits.dataYaml, ["train", "val"]);
  expect(splits.train).toEqual(digits.train);
  expect([splits.train.dataset.images.length, splits.val.dataset.images.length]).toEqual([12, 5]);
  expect(splits.val.dataset.categories.map(({ name }) => name).join("")).toBe("0123456789");
  const image = await decodeImage(join(splits.val.imageRoot, splits.val.dataset.images[2]!.fileName));
  expect([image.width, image.height]).toEqual([128, 128]);
});

test("what is complete is used again; other parameters or an interruption make it anew, with the same pixels", async () => {
  const path = join(digits.train.imageRoot, "00003.png");
  const before = { pixels: (await decodeImage(path)).data, time: (await stat(path)).mtimeMs };
  expect((await makeDigits(options())).generated).toBe(false);
  expect((await stat(path)).mtimeMs).toBe(before.time);

  await expect(makeDigits({ ...options(), val: 6, signal: AbortSignal.abort() })).rejects.toThrow();
  const again = await makeDigits(options());
  expect(again.generated).toBe(true);
  expect((await decodeImage(path)).data).toEqual(before.pixels);
  expect(again.train.dataset.annotationsByImage).toEqual(digits.train.dataset.annotationsByImage);
});

test("a folder of somebody else's files is left alone", async () => {
  await writeFile(join(folder, "notes.txt"), "mine");
  await expect(makeDigits({ ...options(), folder })).rejects.toThrow(
    /holds files, but not the digits.*nothing is written/,
  );
  expect(await readFile(join(folder, "notes.txt"), "utf8")).toBe("mine");
});
