import type { Config, DetrPresetName } from "../src/config/config.ts";
import type { Methods } from "../src/config/criteria.ts";
import { presetConfig } from "../src/config/presets.ts";
import { tinyModel } from "./tinyModel.ts";

/** A DETR of a few thousand parameters with all parts of its family, plain or with the paper's methods, for images of 96 pixels. */
export function tinyDetr(family: DetrPresetName, methods: Methods): Config {
  const { model, train, ...about } = presetConfig(family, "custom", "official", methods);
  if (model.architecture !== "detr") throw new Error(`${family} is no DETR`);
  const { backbone, classes } = tinyModel();
  const small = { feedForwardDim: 24, heads: 2, points: 2 };
  const { denoising, decoder } = model;
  return {
    ...about,
    model: {
      ...model,
      classes,
      evalSize: [96, 96],
      backbone: { ...backbone, learnableAffine: false, freezeNorm: false },
      neck: { ...model.neck, hiddenDim: 16, groups: 4, levels: 3 },
      encoder: { ...model.encoder, ...small, layers: 1 },
      queries: { ...model.queries, count: 12 },
      decoder: { ...decoder, ...small, layers: 3, regMax: 8 },
      denoising: denoising.type === "dn" ? { ...denoising, groups: 2 } : shrunk(denoising),
      numTopQueries: 12,
    },
    train: {
      ...train,
      epochs: 2,
      batch: 2,
      optimizer: { ...train.optimizer, learningRate: 4e-3, backboneLearningRate: 4e-3 },
    },
  };
}

/** As little of a part that is off as before. */
const shrunk = <Denoising extends { numDenoising: number }>(denoising: Denoising): Denoising => ({
  ...denoising,
  numDenoising: Math.min(denoising.numDenoising, 2),
});
