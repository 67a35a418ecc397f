import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCommand } from "../../../test/runCommand.ts";
import { tinyConfig } from "../../../test/tinyTraining.ts";
import { resolveBackend } from "../../device.ts";
import type { DetectedObject } from "../../result.ts";
import { Trainer } from "../../train/trainer.ts";
import { makeDigits } from "../demo/digits.ts";
import { DFine } from "../detector.ts";

let folder = "";
let images = "";
let weights = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-threshold-"));
  await makeDigits({ folder: join(folder, "digits"), train: 1, val: 2, size: 96 });
  images = join(folder, "digits", "images", "val");
  weights = join(folder, "first.safetensors");
  using trainer = await Trainer.create({ config: tinyConfig(), backend: await resolveBackend("cpu", { threads: 1 }) });
  await writeFile(weights, await trainer.saveModel());
});
afterAll(() => rm(folder, { recursive: true }));

const common = () => ["--threads", "1", "--out", folder, "--json"];
const predict = (file: string, ...options: string[]) =>
  runCommand("predict", images, "--weights", file, ...common(), ...options);

/** Annotations of what the weights find surest, so that they are right about something. */
async function annotate(found: readonly { file: string; objects: readonly DetectedObject[] }[]): Promise<string> {
  const path = join(folder, "truth.json");
  const annotations = found.flatMap(({ objects }, image) =>
    objects.slice(0, 3).map(({ classId, box: { xmin, ymin, xmax, ymax } }, i) => ({
      ...{ id: 10 * image + i, image_id: image, category_id: classId },
      bbox: [xmin, ymin, xmax - xmin, ymax - ymin],
    })),
  );
  const listed = found.map((_, id) => ({ id, file_name: `0000${id}.png`, width: 96, height: 96 }));
  const categories = ["one", "two", "three"].map((name, id) => ({ id, name }));
  await writeFile(path, JSON.stringify({ images: listed, annotations, categories }));
  return path;
}

test("val stores the best threshold with the weights, and predict uses it unless another is given", async () => {
  const plain = await predict(weights);
  expect(JSON.parse(plain.out).threshold).toBe(0.5);
  expect(plain.err).toContain("scores from 0.5 are shown");
  const truth = await annotate(JSON.parse((await predict(weights, "--threshold", "0")).out).images);
  const data = ["--images", images, "--annotations", truth];
  const evaluated = await runCommand("val", ...data, "--weights", weights, "--store-threshold", ...common());
  expect(evaluated.code, evaluated.err).toBe(0);
  const { threshold, curves, weights: stored } = JSON.parse(evaluated.out);
  expect(curves.all.best.threshold).toBe(threshold);
  const used = await predict(stored);
  expect(JSON.parse(used.out).threshold).toBe(threshold);
  expect(used.err).toContain(`scores from ${threshold.toFixed(3)} are shown, which gave the best F1`);
  expect(JSON.parse((await predict(stored, "--threshold", "0.25")).out).threshold).toBe(0.25);
  using detector = await DFine.fromPretrained(stored, { device: "cpu" });
  expect(detector.bestThreshold).toBe(threshold);
  using again = await DFine.fromPretrained(await detector.save(), { device: "cpu" });
  expect(again.bestThreshold).toBe(threshold);
  const nameless = join(folder, "nameless.safetensors");
  await writeFile(nameless, await detector.save({ names: ["class 0", "class 1", "class 2"] }));
  const renamed = await runCommand("val", ...data, "--weights", nameless, "--store-threshold", ...common());
  using named = await DFine.fromPretrained(JSON.parse(renamed.out).weights, { device: "cpu" });
  expect(named.names).toEqual(["one", "two", "three"]);
  await expect(detector.save({ names: ["one"] })).rejects.toThrow(/1 name, but the weights have 3 classes/);
  const image = { width: 64, height: 64, data: new Uint8Array(64 * 64 * 3).fill(99) };
  const [[byDefault], [asked]] = [await again.detect(image), await again.detect(image, { threshold })];
  expect(byDefault!.objects).toEqual(asked!.objects);
  expect(byDefault!.objects).not.toEqual((await again.detect(image, { threshold: 0.5 }))[0]!.objects);
});
