import type { TrainConfig } from "./config.ts";

/** What all recipes have in common. */
export const USUAL_TRAINING = {
  accumulate: 1,
  checkpoint: false,
  dropout: 0,
  freeze: [],
  seed: 0,
  optimizer: { betas: [0.9, 0.999], eps: 1e-8, clipMaxNorm: 0.1 },
  schedule: { type: "steps", gamma: 0.1, finalShare: 0 },
  bestBy: "AP",
  earlyStop: { patience: null, minDelta: 0 },
  saveEvery: 500,
  snapshotEvery: 50,
  limits: { nonFiniteSteps: 5, brokenImages: 0.05, maxPixels: 100_000_000 },
} satisfies {
  [Key in keyof TrainConfig]?: TrainConfig[Key] extends readonly unknown[] | string | number | boolean
    ? TrainConfig[Key]
    : Partial<TrainConfig[Key]>;
};
