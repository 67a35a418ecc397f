import { anonymousNames } from "../checkpoint/classNames.ts";
import { COCO_CLASSES } from "./cocoClasses.ts";
import { ConfigError } from "./errors.ts";
import type { DFinePresetName, RecipeName, TaskName } from "./names.ts";
import { VOC_CLASSES } from "./vocClasses.ts";

/** What distinguishes the official configurations of one task. */
interface RecipeRow {
  readonly learningRate: number;
  readonly backboneLearningRate: number;
  readonly weightDecay: number;
  readonly batch: number;
  readonly valBatch: number;
  readonly epochs: number;
  readonly stopEpoch: number;
  /** Decay of the average in stage 2. */
  readonly restartDecay: number;
  readonly baseSizeRepeat: number | null;
}

/** What all sizes of a task share, and the rows of each. */
interface TaskRecipe {
  /** Where the annotations do not say them. */
  readonly classes: readonly string[];
  readonly warmupSteps: number;
  readonly emaWarmups: number;
  readonly checkpointEvery: number;
  readonly rows: Readonly<Record<DFinePresetName, RecipeRow>>;
}

const row = (
  [learningRate, backboneLearningRate, weightDecay]: readonly [number, number, number],
  [batch, valBatch]: readonly [number, number],
  [epochs, stopEpoch, restartDecay, baseSizeRepeat]: readonly [number, number, number, number | null],
): RecipeRow => ({
  ...{ learningRate, backboneLearningRate, weightDecay, batch, valBatch },
  ...{ epochs, stopEpoch, restartDecay, baseSizeRepeat },
});

const USUAL = { warmupSteps: 500, emaWarmups: 1000, checkpointEvery: 12 };
const FINE_TUNING = { warmupSteps: 0, emaWarmups: 0, checkpointEvery: 12 };
/** Later than any run ends. */
const NEVER = 500;

const FROM_OBJECTS365: TaskRecipe["rows"] = {
  n: row([8e-4, 4e-4, 1e-4], [128, 256], [64, 56, 0.9999, null]),
  s: row([2.5e-4, 1.25e-4, 1.25e-4], [32, 64], [64, 56, 0.9999, 10]),
  m: row([2.5e-4, 2.5e-5, 1.25e-4], [32, 64], [56, 48, 0.9999, 6]),
  l: row([2.5e-4, 1.25e-5, 1.25e-4], [32, 64], [36, 30, 0.9999, 4]),
  x: row([2.5e-4, 2.5e-6, 1.25e-4], [32, 64], [36, 30, 0.9999, 3]),
};

const CUSTOM: TaskRecipe["rows"] = {
  n: row([8e-4, 4e-4, 1e-4], [128, 256], [220, 200, 0.9999, null]),
  s: row([4e-4, 2e-4, 1e-4], [64, 128], [220, 200, 0.9999, 20]),
  m: row([2.5e-4, 2.5e-5, 1.25e-4], [32, 64], [132, 120, 0.9999, 6]),
  l: row([2.5e-4, 1.25e-5, 1.25e-4], [32, 64], [80, 72, 0.9999, 4]),
  x: row([2.5e-4, 2.5e-6, 1.25e-4], [32, 64], [80, 72, 0.9998, 3]),
};

/**
 * The official configurations, task by task. There is none of `obj2custom` for n, nor of `voc` at all: these are those of
 * `obj2coco` and of `custom`. docs/recipe.md.
 */
export const RECIPES: Readonly<Record<TaskName, TaskRecipe>> = {
  coco: {
    ...USUAL,
    classes: COCO_CLASSES,
    rows: {
      n: row([8e-4, 4e-4, 1e-4], [128, 256], [160, 148, 0.9999, null]),
      s: row([2e-4, 1e-4, 1e-4], [32, 64], [132, 120, 0.9999, 20]),
      m: row([2e-4, 2e-5, 1e-4], [32, 64], [132, 120, 0.9999, 6]),
      l: row([2.5e-4, 1.25e-5, 1.25e-4], [32, 64], [80, 72, 0.9999, 4]),
      x: row([2.5e-4, 2.5e-6, 1.25e-4], [32, 64], [80, 72, 0.9998, 3]),
    },
  },
  objects365: {
    ...USUAL,
    checkpointEvery: 1,
    classes: anonymousNames(365),
    rows: {
      n: row([8e-4, 4e-4, 1e-4], [128, 256], [48, NEVER, 0.9999, null]),
      s: row([2.5e-4, 1.25e-4, 1.25e-4], [32, 64], [36, NEVER, 0.9999, 20]),
      m: row([2.5e-4, 2.5e-5, 1.25e-4], [32, 64], [36, NEVER, 0.9999, 6]),
      l: row([2.5e-4, 1.25e-5, 1.25e-4], [32, 64], [24, NEVER, 0.9999, 4]),
      x: row([2.5e-4, 2.5e-6, 1.25e-4], [32, 64], [24, NEVER, 0.9999, 3]),
    },
  },
  obj2coco: { ...FINE_TUNING, classes: COCO_CLASSES, rows: FROM_OBJECTS365 },
  custom: { ...USUAL, classes: COCO_CLASSES, rows: CUSTOM },
  obj2custom: { ...FINE_TUNING, classes: COCO_CLASSES, rows: FROM_OBJECTS365 },
  crowdhuman: {
    ...USUAL,
    classes: ["person"],
    rows: {
      ...CUSTOM,
      m: { ...CUSTOM.m, epochs: 220, stopEpoch: 200 },
      l: { ...CUSTOM.l, epochs: 140, stopEpoch: 120 },
      x: { ...CUSTOM.x, epochs: 140, stopEpoch: 120 },
    },
  },
  voc: { ...USUAL, classes: VOC_CLASSES, rows: CUSTOM },
};

/** Epochs of the paper's Table 6, and the stop epoch among them: it trains S, M, L and X, on COCO and Objects365. */
const PAPER_EPOCHS: Partial<
  Record<TaskName, Partial<Record<DFinePresetName, readonly [epochs: number, stopEpoch: number]>>>
> = {
  coco: { s: [124, 120], m: [124, 120], l: [74, 72], x: [74, 72] },
  objects365: { s: [28, NEVER], m: [29, NEVER], l: [21, NEVER], x: [21, NEVER] },
  obj2coco: { s: [58, 56], m: [49, 48], l: [32, 30], x: [31, 30] },
};

/** A task's numbers for a preset. @throws ConfigError where the paper has none */
export function recipeOf(preset: DFinePresetName, task: TaskName, recipe: RecipeName) {
  const { rows, ...shared } = RECIPES[task];
  const official = { ...shared, ...rows[preset] };
  if (recipe === "official") return official;
  const paper = recipe === "paper" ? PAPER_EPOCHS[task]?.[preset] : undefined;
  if (paper) return { ...official, epochs: paper[0], stopEpoch: paper[1] };
  throw new ConfigError(
    `configuration: the paper does not train ${preset} for task ${task}; recipe=paper goes with task=${Object.keys(PAPER_EPOCHS).join(", ")} and presets s, m, l, x, paper24 with other DETRs; leave it out`,
  );
}
