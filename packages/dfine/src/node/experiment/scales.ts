import { HGNETV2 } from "../../config/hgnetv2Sizes.ts";
import { presetConfig } from "../../config/presets.ts";
import type { ConfigOptions } from "../../config/resolve.ts";
import { augmentationsSchema } from "../../data/augment/augmentations.ts";
import type { ModelConfig } from "../../model/architectures.ts";
import type { DigitsOptions } from "../demo/digits.ts";
import type { Experiment } from "./experiment.ts";

/** A size at which experiments can be made on a small machine: keys between their bases and their rows. */
export interface Scale {
  readonly about: string;
  /** By the architecture of the experiment's base. */
  readonly options: Readonly<Record<ModelConfig["architecture"], ConfigOptions>>;
  readonly seeds: number;
  /** What is drawn to train on where no data is given. */
  readonly drawn: Omit<DigitsOptions, "folder" | "onProgress" | "signal">;
}

/** Batches of 8, without strong augmentation in the last two epochs where a row has that. A mirrored 2 is no digit. */
const train = (epochs: number, learningRate: number): NonNullable<ConfigOptions["train"]> => ({
  ...{ epochs, batch: 8, valBatch: 8, checkpointEvery: epochs },
  optimizer: { learningRate, backboneLearningRate: learningRate },
  schedule: { warmupSteps: 50 },
  ema: { decay: 0.99, warmups: 50, restartDecay: 0.99 },
  augmentation: {
    transforms: augmentationsSchema.parse([
      { name: "photometricDistort" },
      { name: "zoomOut", probability: 0.3, sideRange: [1, 2] },
      { name: "sanitize" },
    ]),
    ...{ stopEpoch: epochs - 2, baseSizeRepeat: null },
  },
});

const { stem, stages } = HGNETV2.B0;
/** The smallest backbone with half of its channels. */
const narrow = {
  stem: { mid: stem.mid / 2, out: stem.out / 2 },
  stages: stages.map((stage) => ({ ...stage, in: stage.in / 2, mid: stage.mid / 2, out: stage.out / 2 })),
};

/** Other DETRs with a narrow backbone in place of ResNet-50, and some queries. */
const detr = (side: number, hiddenDim: number): ConfigOptions => ({
  model: {
    ...{ evalSize: [side, side], numTopQueries: 100 },
    backbone: { type: "hgnetv2", ...narrow, returnStages: [1, 2, 3] },
    neck: { hiddenDim, groups: 8 },
    encoder: { layers: 2, feedForwardDim: 4 * hiddenDim },
    queries: { count: 40 },
    decoder: { layers: 3, feedForwardDim: 4 * hiddenDim },
  },
});

/** By name. */
export const SCALES = {
  hour: {
    about:
      "13 rows with three seeds in an estimated hour on two cores: N with half of its channels at 160 pixels, 400 steps",
    seeds: 3,
    drawn: { scenes: "crowd", train: 400, val: 100, size: 160 },
    options: {
      dfine: {
        preset: "n",
        model: {
          ...{ evalSize: [160, 160], numTopQueries: 100, backbone: narrow },
          encoder: { hiddenDim: 64, feedForwardDim: 256 },
          decoder: { hiddenDim: 64, feedForwardDim: 256, numQueries: 40 },
          denoising: { numDenoising: 40 },
        },
        train: train(8, 1.5e-3),
      },
      detr: { ...detr(160, 64), train: train(8, 1.5e-3) },
    },
  },
  night: {
    about: "13 rows with three seeds in an estimated ten hours on two cores: N at 256 pixels, 1200 steps",
    seeds: 3,
    drawn: { scenes: "crowd", train: 800, val: 200, size: 256 },
    options: {
      dfine: {
        preset: "n",
        model: { evalSize: [256, 256], numTopQueries: 100, decoder: { numQueries: 100 } },
        train: train(12, 8e-4),
      },
      detr: { ...detr(256, 128), train: train(12, 8e-4) },
    },
  },
} as const satisfies Record<string, Scale>;

/** What a scale lays over an experiment's base. */
export const scaleOptions = (scale: keyof typeof SCALES, { base }: Experiment): ConfigOptions =>
  SCALES[scale].options[presetConfig(base.preset ?? "n").model.architecture];
