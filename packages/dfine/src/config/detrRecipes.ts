import { augmentationsSchema } from "../data/augment/augmentations.ts";
import type { TrainConfig } from "./config.ts";
import type { DetrPresetName, RecipeName } from "./names.ts";
import { USUAL_TRAINING } from "./usualTraining.ts";

/** What distinguishes the recipes of the DETRs. */
interface DetrRecipe {
  readonly learningRate: number;
  readonly backboneLearningRate: number;
  readonly batch: number;
  readonly dropout: number;
  /** Parameters that learn at another rate than all others. */
  readonly groups: TrainConfig["optimizer"]["groups"];
  /** Epochs in all, and those at the full rate, in the public configuration. */
  readonly epochs: readonly [all: number, fullRate: number];
}

const BACKBONE = { pattern: "backbone", learningRate: "backbone", weightDecay: "inherit" } as const;
const REFERENCES = { pattern: "sampling_offsets|reference_points", learningRate: 0.1, weightDecay: "inherit" } as const;

const DEFORMABLE: DetrRecipe = {
  ...{ learningRate: 2e-4, backboneLearningRate: 2e-5, batch: 32, dropout: 0.1 },
  ...{ groups: [BACKBONE, REFERENCES], epochs: [50, 40] },
};
const DAB: DetrRecipe = {
  ...{ learningRate: 1e-4, backboneLearningRate: 1e-5, batch: 16, dropout: 0 },
  ...{ groups: [BACKBONE], epochs: [50, 40] },
};

const RECIPES: Readonly<Record<DetrPresetName, DetrRecipe>> = {
  "deformable-detr-plain": DEFORMABLE,
  "deformable-detr": DEFORMABLE,
  "dab-detr": DAB,
  "dn-detr": DAB,
  dino: { ...DAB, epochs: [12, 11] },
};

/** Epochs of the paper's Table 2, and those at the full rate; it trains with batches of 16. */
const PAPER: Readonly<Record<Exclude<RecipeName, "official">, readonly [all: number, fullRate: number]>> = {
  paper: [12, 11],
  paper24: [24, 20],
};

/** How a DETR is trained, whatever the task: no warm-up, no average, decay of all weights. docs/families.md. */
export function detrTraining(preset: DetrPresetName, recipe: RecipeName): TrainConfig {
  const { groups, learningRate, backboneLearningRate, ...row } = RECIPES[preset];
  const [epochs, fullRate] = recipe === "official" ? row.epochs : PAPER[recipe];
  return {
    epochs,
    batch: recipe === "official" ? row.batch : 16,
    ...USUAL_TRAINING,
    valBatch: 2,
    dropout: row.dropout,
    optimizer: {
      ...USUAL_TRAINING.optimizer,
      ...{ learningRate, backboneLearningRate, weightDecay: 1e-4, groups },
    },
    schedule: { ...USUAL_TRAINING.schedule, warmupSteps: 0, milestones: [fullRate] },
    ema: { decay: 0, warmups: 0, restartDecay: 0 },
    augmentation: { transforms: augmentationsSchema.parse("detr"), stopEpoch: 0, baseSizeRepeat: null },
    checkpointEvery: 1,
  };
}
