import { augmentationsSchema } from "../data/augment/augmentations.ts";
import { dfineDecoder } from "../model/decoder.ts";
import { contrastive } from "../model/denoising.ts";
import { hgNetV2 } from "../model/hgnetv2.ts";
import { hybrid } from "../model/hybridEncoder.ts";
import { COCO_CLASSES } from "./coco.ts";
import type { Config, CriterionConfig, ModelConfig, PresetName, TaskName, TrainConfig } from "./config.ts";
import { HGNETV2, type HgNetV2Config } from "./hgnetv2Sizes.ts";

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

type RecipeRow = readonly [
  learningRate: number,
  backboneLearningRate: number,
  weightDecay: number,
  batch: number,
  valBatch: number,
  epochs: number,
  stopEpoch: number,
  baseSizeRepeat: number | null,
];

const RECIPES: Record<TaskName, Record<PresetName, RecipeRow>> = {
  coco: {
    n: [8e-4, 4e-4, 1e-4, 128, 256, 160, 148, null],
    s: [2e-4, 1e-4, 1e-4, 32, 64, 132, 120, 20],
    m: [2e-4, 2e-5, 1e-4, 32, 64, 132, 120, 6],
    l: [2.5e-4, 1.25e-5, 1.25e-4, 32, 64, 80, 72, 4],
    x: [2.5e-4, 2.5e-6, 1.25e-4, 32, 64, 80, 72, 3],
  },
  custom: {
    n: [8e-4, 4e-4, 1e-4, 128, 256, 220, 200, null],
    s: [4e-4, 2e-4, 1e-4, 64, 128, 220, 200, 20],
    m: [2.5e-4, 2.5e-5, 1.25e-4, 32, 64, 132, 120, 6],
    l: [2.5e-4, 1.25e-5, 1.25e-4, 32, 64, 80, 72, 4],
    x: [2.5e-4, 2.5e-6, 1.25e-4, 32, 64, 80, 72, 3],
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

function model({ frozen = false, ...row }: ModelRow): PresetModel {
  const levels = row.decoder.points.length;
  const backbone = { ...hgNetV2.defaults(levels), ...HGNETV2[row.backbone], learnableAffine: !frozen };
  return {
    architecture: "dfine",
    classes: [...COCO_CLASSES],
    evalSize: [640, 640],
    resize: "squeeze",
    backbone: { ...backbone, freezeAt: frozen ? 0 : -1, freezeNorm: frozen },
    encoder: { ...hybrid.defaults(levels), ...row.encoder },
    decoder: { ...dfineDecoder.defaults(levels), ...row.decoder },
    denoising: contrastive.defaults(levels),
    numTopQueries: 300,
  };
}

const CRITERION: CriterionConfig = {
  matching: "union",
  weights: { vfl: 1, bbox: 5, giou: 2, fgl: 0.15 },
  alpha: 0.75,
  gamma: 2,
  distillation: [{ kind: "ddf", weight: 1.5, temperature: 5 }],
  matcher: { classWeight: 2, bboxWeight: 5, giouWeight: 2, alpha: 0.25, gamma: 2 },
};

/** Decay of the average in stage 2, where it is not that of stage 1. */
const RESTART_DECAYS: Partial<Record<TaskName, Partial<Record<PresetName, number>>>> = {
  coco: { x: 0.9998 },
  custom: { x: 0.9998 },
};

function train(row: RecipeRow, frozenNorm = false): TrainConfig {
  const [learningRate, backboneLearningRate, weightDecay, batch, valBatch, epochs, stopEpoch, baseSizeRepeat] = row;
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
    schedule: { type: "steps", warmupSteps: 500, milestones: [500], gamma: 0.1, finalShare: 0 },
    ema: { decay: 0.9999, warmups: 1000, restartDecay: 0.9999 },
    augmentation: { transforms: augmentationsSchema.parse("official"), stopEpoch, baseSizeRepeat },
    bestBy: "AP",
    earlyStop: { patience: null, minDelta: 0 },
    checkpointEvery: 12,
    saveEvery: 500,
    snapshotEvery: 50,
    limits: { nonFiniteSteps: 5, brokenImages: 0.05, maxPixels: 100_000_000 },
  };
}

/** Complete configuration of a preset with the official recipe of a task; a fresh copy at every call. */
export function presetConfig(preset: PresetName, task: TaskName = "custom"): Config & { model: PresetModel } {
  const row = MODELS[preset];
  const config = structuredClone({
    preset,
    task,
    model: model(row),
    criterion: CRITERION,
    train: train(RECIPES[task][preset], row.frozen),
  });
  config.train.ema.restartDecay = RESTART_DECAYS[task]?.[preset] ?? config.train.ema.decay;
  return config;
}
