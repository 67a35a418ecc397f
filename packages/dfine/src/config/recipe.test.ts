import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { elanWidth, repBlocks } from "../model/encoderBlocks.ts";
import {
  type Config,
  ConfigError,
  DETR_PRESET_NAMES,
  type DetrPresetName,
  DFINE_PRESET_NAMES,
  type DFinePresetName,
  type PresetName,
  TASK_NAMES,
  type TaskName,
} from "./config.ts";
import { HGNETV2 } from "./hgnetv2Sizes.ts";
import { type PresetModel, presetConfig } from "./presets.ts";
import { resolveConfig } from "./resolve.ts";
import { readYaml } from "./yaml.ts";

type PresetConfig = Config & { model: PresetModel };

/** Tables of docs/recipe.md by the heading that they stand under, as rows of cells; the first row is the head. */
const tables = new Map(
  readFileSync(new URL("../../../../docs/recipe.md", import.meta.url), "utf8")
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const lines = section.split("\n");
      const rows = lines.filter((line) => line.startsWith("|") && !line.startsWith("|--"));
      return [
        lines[0]!,
        rows.map((line) =>
          line
            .split("|")
            .slice(1, -1)
            .map((cell) => cell.trim()),
        ),
      ] as const;
    }),
);

const read = (text: string): unknown => readYaml(text).value;

function valueAt(config: Config, key: string): unknown {
  return key.split(".").reduce<unknown>((value, part) => {
    expect(value, key).toHaveProperty([part]);
    return (value as Record<string, unknown>)[part];
  }, config);
}

const backboneName = ({ model: { backbone } }: PresetConfig) =>
  Object.entries(HGNETV2).find(([, sizes]) => JSON.stringify(sizes.stages) === JSON.stringify(backbone.stages))?.[0];

/** What a row says of a key, where that is not the key's own value. */
const DERIVED: Record<string, (config: PresetConfig) => unknown> = {
  "backbone HGNetv2": backboneName,
  "HGNetv2.name": backboneName,
  "GELAN hidden dimension: ⌊expansion · hiddenDim / 2⌋": ({ model }) => elanWidth(model.encoder),
  "GELAN depth: 3 · depthMult, rounded": ({ model }) => repBlocks(model.encoder),
  "c in W(n): 1 / regScale": ({ model }) => 1 / model.decoder.regScale,
};

/** Compares a table of settings by presets with what `config` gives for a preset (and a task, where a key names one). */
function compare<Name extends PresetName>(
  heading: string,
  config: (preset: Name, task?: TaskName) => Config,
  derived: Readonly<Record<string, (config: PresetConfig) => unknown>> = {},
): number {
  const [[, , ...presets] = [], ...rows] = tables.get(heading)!;
  for (const [setting, quoted, ...cells] of rows) {
    const [key, task] = quoted!.replaceAll("`", "").split(": ").reverse();
    for (const [i, preset] of presets.entries()) {
      const made = config(preset as Name, task as TaskName | undefined);
      expect(derived[setting!]?.(made as PresetConfig) ?? valueAt(made, key!), `${setting} of ${preset}`).toEqual(
        read(cells[i]!),
      );
    }
  }
  return rows.length;
}

test("the paper's Table 6", () => {
  expect(
    compare<DFinePresetName>(
      "The paper's Table 6",
      (preset, task = "coco") => presetConfig(preset, task, "paper"),
      DERIVED,
    ),
  ).toBe(26);
});

test.each(TASK_NAMES)("the official configurations: sizes are the same for %s", (task) => {
  expect(
    compare<DFinePresetName>("The official configurations: sizes", (preset) => presetConfig(preset, task), DERIVED),
  ).toBe(51);
});

test("the official configurations: transforms", () => {
  const [, ...rows] = tables.get("The official configurations: transforms")!;
  const { transforms } = presetConfig("s").train.augmentation;
  for (const [position, transform, key, value] of rows)
    expect((transforms[Number(position)] as Record<string, unknown>)[key!], transform).toEqual(read(value!));
  // Nothing is there that the table lacks.
  expect(rows).toHaveLength(transforms.flatMap((each) => Object.keys(each)).length);
});

const COLUMNS: Record<string, (config: PresetConfig) => unknown> = {
  lr: ({ train }) => train.optimizer.learningRate,
  backbone: ({ train }) => train.optimizer.backboneLearningRate,
  decay: ({ train }) => train.optimizer.weightDecay,
  batch: ({ train }) => train.batch,
  val: ({ train }) => train.valBatch,
  epochs: ({ train }) => train.epochs,
  stop: ({ train }) => train.augmentation.stopEpoch,
  restart: ({ train }) => train.ema.restartDecay,
  repeat: ({ train }) => train.augmentation.baseSizeRepeat,
  ema: ({ train }) => train.ema.warmups,
  warmup: ({ train }) => train.schedule.warmupSteps,
  save: ({ train }) => train.checkpointEvery,
};

test("the official configurations: tasks", () => {
  const [[, , ...columns] = [], ...rows] = tables.get("The official configurations: tasks")!;
  expect(columns).toEqual(Object.keys(COLUMNS));
  for (const [task, preset, ...cells] of rows) {
    const config = presetConfig(preset as DFinePresetName, task as TaskName);
    for (const [i, column] of columns.entries())
      expect(COLUMNS[column]!(config), `${column} of ${preset} for ${task}`).toEqual(read(cells[i]!));
  }
  const pairs = rows.map(([task, preset]) => `${task} ${preset}`);
  const official = TASK_NAMES.filter((task) => task !== "voc").flatMap((task) =>
    DFINE_PRESET_NAMES.map((p) => `${task} ${p}`),
  );
  expect(pairs.sort()).toEqual(official.filter((pair) => pair !== "obj2custom n").sort());
  for (const preset of DFINE_PRESET_NAMES)
    expect(presetConfig(preset, "voc").train).toEqual(presetConfig(preset, "custom").train);
  expect(presetConfig("n", "obj2custom").train).toEqual(presetConfig("n", "obj2coco").train);
});

test("where the paper has no recipe, that is said", () => {
  expect(() => resolveConfig({ preset: "n", task: "coco", recipe: "paper" })).toThrow(ConfigError);
  expect(() => resolveConfig({ preset: "s", recipe: "paper" })).toThrow(
    /does not train s for task custom.*leave it out/,
  );
  expect(resolveConfig({ preset: "s", task: "coco", recipe: "paper" }).train.epochs).toBe(124);
});

test("other DETRs", () => {
  expect(compare<DetrPresetName>("Other DETRs", (preset) => presetConfig(preset, "coco"))).toBe(18);
  for (const preset of DETR_PRESET_NAMES) {
    const epochs = (["paper", "paper24"] as const).map((recipe) => {
      const { train } = presetConfig(preset, "coco", recipe);
      return [train.epochs, train.batch, ...train.schedule.milestones];
    });
    expect(epochs).toEqual([
      [12, 16, 11],
      [24, 16, 20],
    ]);
  }
});

test("scales and crops at 800 pixels are those of DETR", () => {
  const [scale] = presetConfig("dino").train.augmentation.transforms.filter(({ name }) => name === "scaleAndCrop");
  if (scale?.name !== "scaleAndCrop") throw new Error("dino has no scaleAndCrop");
  const pixels = (shares: readonly number[]) => shares.map((share) => Math.round(800 * share));
  expect(pixels(scale.scales)).toEqual([480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800]);
  expect([pixels(scale.cropScales), pixels(scale.crop)]).toEqual([
    [400, 500, 600],
    [384, 600],
  ]);
});
