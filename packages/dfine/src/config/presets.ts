import { augmentationsSchema } from "../data/augment/augmentations.ts";
import { dfineDecoder } from "../model/decoder.ts";
import { contrastive } from "../model/denoising.ts";
import { hgNetV2 } from "../model/hgnetv2.ts";
import { hybrid } from "../model/hybridEncoder.ts";
import type { Config, ModelConfig, PresetName, RecipeName, TaskName, TrainConfig } from "./config.ts";
import { DFINE_CRITERION } from "./criteria.ts";
import { HGNETV2, type HgNetV2Config } from "./hgnetv2Sizes.ts";
import { recipeOf } from "./recipes.ts";

/** Presets have HGNetv2 as their backbone. */
export type PresetModel = ModelConfig & { backbone: HgNetV2Config };

/**
 * What distinguishes the architectures of the presets, beside the defaults of their parts. They use as many levels as they
 * have points for.
 */
interface ModelRow {
  backbone: keyof typeof HGNETV2;
  /** Fixed stem and fixed batch norm, in backbones without learnable affine blocks. */
  frozen?: boolean;
  encoder?: Partial<Pick<ModelConfig["encoder"], "hiddenDim" | "feedForwardDim" | "expansion" | "depthMult">>;
  decoder: Pick<ModelConfig["decoder"], "points"> &
    Partial<Pick<ModelConfig["decoder"], "hiddenDim" | "feedForwardDim" | "layers" | "regScale">>;
}

const uneven = [3, 6, 3];

const MODELS: Record<PresetName, ModelRow> = {
  n: {
    backbone: "B0",
    encoder: { hiddenDim: 128, feedForwardDim: 512, expansion: 0.34, depthMult: 0.5 },
    decoder: { hiddenDim: 128, feedForwardDim: 512, layers: 3, points: [6, 6] },
  },
  s: { backbone: "B0", encoder: { expansion: 0.5, depthMult: 0.34 }, decoder: { layers: 3, points: uneven } },
  m: { backbone: "B2", encoder: { depthMult: 0.67 }, decoder: { layers: 4, points: uneven } },
  l: { backbone: "B4", frozen: true, decoder: { points: uneven } },
  x: {
    backbone: "B5",
    frozen: true,
    encoder: { hiddenDim: 384, feedForwardDim: 2048 },
    decoder: { points: uneven, regScale: 8 },
  },
};

const BACKBONE_WITHOUT_NORM = "^(?=.*backbone)(?!.*norm|bn).*$";

/**
 * Official patterns. In a look-ahead `.*norm|bn` means "norm anywhere, or bn at the start", and no parameter of the
 * backbone has either: the first group therefore holds the whole backbone and the second none.
 */
const TRAINED_NORM_GROUPS: TrainConfig["optimizer"]["groups"] = [
  { pattern: BACKBONE_WITHOUT_NORM, learningRate: "backbone", weightDecay: "inherit" },
  { pattern: "^(?=.*backbone)(?=.*norm|bn).*$", learningRate: "backbone", weightDecay: 0 },
  { pattern: "^(?=.*(?:encoder|decoder))(?=.*(?:norm|bn|bias)).*$", learningRate: "base", weightDecay: 0 },
];

const FROZEN_NORM_GROUPS: TrainConfig["optimizer"]["groups"] = [
  { pattern: BACKBONE_WITHOUT_NORM, learningRate: "backbone", weightDecay: "inherit" },
  { pattern: "^(?=.*(?:encoder|decoder))(?=.*(?:norm|bn)).*$", learningRate: "base", weightDecay: 0 },
];

function model({ frozen = false, ...row }: ModelRow, classes: readonly string[]): PresetModel {
  const levels = row.decoder.points.length;
  const backbone = { ...hgNetV2.defaults(levels), ...HGNETV2[row.backbone], learnableAffine: !frozen };
  return {
    architecture: "dfine",
    classes: [...classes],
    evalSize: [640, 640],
    resize: "squeeze",
    backbone: { ...backbone, freezeAt: frozen ? 0 : -1, freezeNorm: frozen },
    encoder: { ...hybrid.defaults(levels), ...row.encoder },
    decoder: { ...dfineDecoder.defaults(levels), ...row.decoder },
    denoising: contrastive.defaults(levels),
    numTopQueries: 300,
  };
}

function train(recipe: ReturnType<typeof recipeOf>, frozenNorm = false): TrainConfig {
  const { learningRate, backboneLearningRate, weightDecay, batch, valBatch, epochs } = recipe;
  const { stopEpoch, baseSizeRepeat, warmupSteps, emaWarmups, restartDecay, checkpointEvery } = recipe;
  return {
    epochs,
    batch,
    accumulate: 1,
    checkpoint: false,
    freeze: [],
    valBatch,
    seed: 0,
    optimizer: {
      learningRate,
      backboneLearningRate,
      weightDecay,
      betas: [0.9, 0.999],
      eps: 1e-8,
      groups: frozenNorm ? FROZEN_NORM_GROUPS : TRAINED_NORM_GROUPS,
      clipMaxNorm: 0.1,
    },
    schedule: { type: "steps", warmupSteps, milestones: [500], gamma: 0.1, finalShare: 0 },
    ema: { decay: 0.9999, warmups: emaWarmups, restartDecay },
    augmentation: { transforms: augmentationsSchema.parse("official"), stopEpoch, baseSizeRepeat },
    bestBy: "AP",
    earlyStop: { patience: null, minDelta: 0 },
    checkpointEvery,
    saveEvery: 500,
    snapshotEvery: 50,
    limits: { nonFiniteSteps: 5, brokenImages: 0.05, maxPixels: 100_000_000 },
  };
}

/**
 * Complete configuration of a preset with a task's recipe; a fresh copy at every call.
 * @throws ConfigError for the paper's recipe where the paper has none
 */
export function presetConfig(
  preset: PresetName,
  task: TaskName = "custom",
  recipe: RecipeName = "official",
): Config & { model: PresetModel } {
  const row = MODELS[preset];
  const numbers = recipeOf(preset, task, recipe);
  return structuredClone({
    ...{ preset, task, recipe },
    model: model(row, numbers.classes),
    criterion: DFINE_CRITERION,
    train: train(numbers, row.frozen),
  });
}
