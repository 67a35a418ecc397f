import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpu } from "@dfine/backend-cpu";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ExportedImage } from "../../../test/exportForms.ts";
import { EXPORTS, writeExport } from "../../../test/exports.ts";
import { tinyConfig } from "../../../test/tinyTraining.ts";
import { trainLoop } from "../../train/loop.ts";
import { Trainer } from "../../train/trainer.ts";
import { checkImages } from "./checkImages.ts";
import type { DatasetSplit } from "./datasetParts.ts";
import { loadData } from "./loadData.ts";
import { createLoader } from "./loader.ts";

let folder = "";
const at = (name: string) => join(folder, name.replaceAll(/\W+/g, "-"));
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-exports-"));
  for (const [name, one] of Object.entries(EXPORTS)) await writeExport(at(name), one);
});
afterAll(() => rm(folder, { recursive: true }));

/** What was read, as the exports say it; boxes to the thousandth of a pixel that six decimals hold. */
function contents({ dataset }: DatasetSplit): ExportedImage[] {
  const { images, categories, labels, annotationsByImage } = dataset;
  return images
    .map(({ id, fileName, width, height }) => ({
      stem: fileName.replace(/^.*[-/](?=[^/]+$)/, "").replace(/(_jpg\.rf\.0a1b2c)?\.\w+$/, ""),
      ...{ width, height },
      objects: annotationsByImage.get(id)!.map(({ categoryId, bbox }) => ({
        name: categories[labels.get(categoryId)!]!.name,
        bbox: bbox.map((side) => Math.round(side * 1000) / 1000) as [number, number, number, number],
      })),
    }))
    .sort((a, b) => (a.stem < b.stem ? -1 : 1));
}

test.each(Object.entries(EXPORTS))("%s is read as it is", async (name, { parts, names = ["cat", "dog", "鸟"] }) => {
  const { notes, ...found } = await loadData(at(name), ["train", "val"], ["train"]);
  expect(Object.keys(found).sort()).toEqual(Object.keys(parts).sort());
  for (const part of ["train", "val"] as const)
    if (parts[part]) {
      expect(contents(found[part]!)).toEqual(parts[part]);
      expect(found[part]!.dataset.categories.map((one) => one.name)).toEqual(names);
      await checkImages(found[part]!);
    }
  expect(notes[0]).toMatch(/^read as /);
});

test("every export trains", async () => {
  const backend = cpu({ threads: 1 });
  for (const name of Object.keys(EXPORTS)) {
    const { train } = await loadData(at(name), ["train"]);
    const classes = train.dataset.categories.map((category) => category.name);
    const config = tinyConfig((one) => Object.assign(one.model, { classes }));
    using loader = createLoader({ ...train, size: [96, 96], batchSize: 2, training: true, workers: 0 });
    const trainer = await Trainer.create({ config, backend });
    const losses: number[] = [];
    for await (const event of trainLoop(trainer, { train: loader }, { maxSteps: 2 }))
      if (event.kind === "step") losses.push(event.loss);
    expect(losses, name).toHaveLength(2);
    expect(losses.every(Number.isFinite), name).toBe(true);
    trainer.dispose();
  }
  backend.dispose();
});
