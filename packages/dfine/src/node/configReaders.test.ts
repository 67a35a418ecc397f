import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Backend } from "@dfine/tensor";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tinyDetr } from "../../test/tinyDetr.ts";
import { tinyConfig } from "../../test/tinyTraining.ts";
import { type Config, PRESET_NAMES } from "../config/config.ts";
import { presetConfig } from "../config/presets.ts";
import { resolveBackend } from "../device.ts";
import { Trainer } from "../train/trainer.ts";
import { type DigitsDataset, makeDigits } from "./demo/digits.ts";
import { createRunFolder } from "./runFolder.ts";
import { runTraining } from "./trainRun.ts";

const folder = mkdtempSync(join(tmpdir(), "dfine-readers-"));
let backend: Backend;
let digits: DigitsDataset;
beforeAll(async () => {
  backend = await resolveBackend("cpu", { threads: 1 });
  digits = await makeDigits({ folder: join(folder, "digits"), train: 4, val: 2, size: 96 });
});
afterAll(async () => {
  backend.dispose();
  await rm(folder, { recursive: true });
});

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

/** Paths of all values that are no objects; members of a list share a path, and lists of plain values are values. */
function leaves(tree: object, prefix = ""): string[] {
  return Object.entries(tree).flatMap(([key, value]) => {
    const path = Array.isArray(tree) ? `${prefix}[]` : prefix === "" ? key : `${prefix}.${key}`;
    const isTree = isObject(value) && !(Array.isArray(value) && !value.some(isObject));
    return isTree ? leaves(value, path) : [path];
  });
}

/** The same tree, which notes what is read of it. What is only written into a file does not count. */
function recording<T extends object>(tree: T, read: Set<string>, prefix = ""): T {
  return new Proxy(tree, {
    get(target, key, receiver) {
      // JSON and YAML ask for this first.
      if (key === "toJSON") return () => target;
      const value: unknown = Reflect.get(target, key, receiver);
      if (typeof key === "symbol" || (Array.isArray(target) && !/^\d+$/.test(key))) return value;
      const path = Array.isArray(target) ? `${prefix}[]` : prefix === "" ? key : `${prefix}.${key}`;
      read.add(path);
      return isObject(value) ? recording(value, read, path) : value;
    },
  });
}

/** What training, evaluation and saving in a run folder read of a configuration. */
async function readBy(name: string, config: Config): Promise<Set<string>> {
  const read = new Set<string>();
  using trainer = await Trainer.create({ config: recording(config, read), backend });
  const run = () => createRunFolder(folder, "train", name);
  // A thread would be given a copy.
  const parts = { train: digits.train, val: digits.val, workers: 0 };
  await runTraining({ trainer, run, ...parts, title: name, maxSteps: 2 });
  return read;
}

test("every configuration key has a reader", async () => {
  const classes = digits.train.dataset.categories.map(({ name }) => name);
  const variants = {
    fine: tinyConfig((c) => Object.assign(c.model, { classes })),
    frozen: tinyConfig((c) => {
      Object.assign(c.model, { classes });
      Object.assign(c.model.backbone, { freezeAt: 1, freezeStemOnly: false });
      Object.assign(c.train.schedule, { type: "cosine" });
    }),
    // Between them they have all kinds of queries, positions and denoising.
    ...Object.fromEntries(
      (["deformable-detr-plain", "deformable-detr", "dn-detr", "dino"] as const).map((family) => {
        const { model, ...rest } = tinyDetr(family, { fdr: true, goLsd: true });
        return [family, { ...rest, model: { ...model, classes } }];
      }),
    ),
  };
  const unread = new Set(Object.values(variants).flatMap((config) => leaves(config)));
  for (const preset of PRESET_NAMES) for (const path of leaves(presetConfig(preset))) unread.add(path);
  for (const [name, config] of Object.entries(variants))
    for (const path of await readBy(name, config)) unread.delete(path);
  // Task, recipe and methods choose the preset's numbers, over which the rest is laid.
  expect(presetConfig("n", "coco")).not.toEqual({ ...presetConfig("n", "custom"), task: "coco" });
  const [official, paper] = [presetConfig("s", "coco"), presetConfig("s", "coco", "paper")];
  expect(paper).not.toEqual({ ...official, recipe: "paper" });
  for (const method of ["fdr", "goLsd"] as const) {
    const without = presetConfig("n", "custom", "official", { [method]: false });
    expect(without).not.toEqual({ ...presetConfig("n"), [method]: false });
  }
  expect([...unread].sort()).toEqual(["fdr", "goLsd", "recipe", "task"]);
});

test("a key that nothing reads is found", async () => {
  const config = tinyConfig((c) => {
    Object.assign(c.model, { classes: digits.train.dataset.categories.map(({ name }) => name) });
    Object.assign(c.model.decoder, { idle: 3 });
  });
  expect(leaves(config)).toContain("model.decoder.idle");
  expect(await readBy("idle", config)).not.toContain("model.decoder.idle");
});
