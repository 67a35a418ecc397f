import * as z from "zod";
import { augmentationsSchema } from "../data/augment/augmentations.ts";
import { COCO_STAT_NAMES } from "../evaluation/cocoStats.ts";
import { DISTILLATIONS } from "../loss/distillations.ts";
import { SET_NAMES } from "../loss/predictionSets.ts";
import { ARCHITECTURES, type ModelConfig } from "../model/architectures.ts";
import { choiceOf } from "../model/parts.ts";
import { PRESET_NAMES, RECIPE_NAMES, TASK_NAMES } from "./names.ts";
import { count, rate, share, size } from "./numbers.ts";

export { ConfigError } from "./errors.ts";

export {
  DETR_PRESET_NAMES,
  type DetrPresetName,
  DFINE_PRESET_NAMES,
  type DFinePresetName,
  PRESET_NAMES,
  type PresetName,
  RECIPE_NAMES,
  type RecipeName,
  TASK_NAMES,
  type TaskName,
} from "./names.ts";

const isPattern = (text: string) => {
  try {
    new RegExp(text);
    return true;
  } catch {
    return false;
  }
};

export const modelSchema = ARCHITECTURES.schema;
export type { ModelConfig };

const criterionSchema = z.strictObject({
  /** Box losses on the union of all layers' matches (GO-LSD), or on each layer's own. */
  matching: z.enum(["union", "layer"]),
  weights: z.strictObject({ vfl: rate, focal: rate.default(0), bbox: rate, giou: rate, fgl: rate }),
  /** How sets and losses are called. */
  names: choiceOf(SET_NAMES).default("dfine"),
  /** Whether the first layer's plain boxes have a class loss too. */
  preClasses: z.boolean().default(true),
  /** Added to areas that IoU and generalised IoU divide by. */
  boxEpsilon: rate.default(0),
  alpha: rate,
  gamma: rate,
  /** Terms by which the last layer teaches the earlier ones. */
  distillation: z.array(DISTILLATIONS.schema),
  matcher: z.strictObject({ classWeight: rate, bboxWeight: rate, giouWeight: rate, alpha: rate, gamma: rate }),
});

const optimizer = z.strictObject({
  learningRate: rate,
  backboneLearningRate: rate,
  weightDecay: rate,
  betas: z.tuple([share, share]),
  eps: z.number().positive(),
  /** In order; parameters that no pattern matches form a last group with the base rate and the full decay. */
  groups: z.array(
    z.strictObject({
      pattern: z.string().refine(isPattern, "not a regular expression"),
      /** One of the two rates, or a share of the base rate. */
      learningRate: z.union([z.enum(["base", "backbone"]), rate]),
      weightDecay: z.union([z.literal("inherit"), rate]),
    }),
  ),
  /** Largest global L2 norm of the gradients; 0 turns clipping off. */
  clipMaxNorm: rate,
});

/** What `train.freeze` may name. */
const FREEZABLE = ["backbone", "norm"] as const;

const trainSchema = z.strictObject({
  epochs: size,
  /** Images per step. */
  batch: size,
  /** Parts in which a batch goes through the model, one after the other; their gradients are added. */
  accumulate: size,
  /** Whether blocks of the backbone and the encoder are computed again for the gradient in place of kept: memory for time. */
  checkpoint: z.boolean(),
  /** Probability with which elements inside transformer layers are zeroed in training, at the usual places; below 1. */
  dropout: share.lt(1).default(0),
  /** What is not trained: the backbone, all batch norms. Their statistics stay as they are too. */
  freeze: z.array(z.enum(FREEZABLE)),
  valBatch: size,
  seed: count,
  optimizer,
  /**
   * Linear warm-up in steps. Then, for `steps`, the rate is multiplied by `gamma` at each epoch of `milestones`; for `cosine`
   * it falls along half a wave to `finalShare` of it at the end of the run.
   */
  schedule: z.strictObject({
    type: z.enum(["steps", "cosine"]),
    warmupSteps: count,
    milestones: z.array(count),
    gamma: rate,
    finalShare: share,
  }),
  /** `decay` 0: nothing is averaged. `warmups`: steps over which it rises. In stage 2 it is `restartDecay`, where that is lower. */
  ema: z.strictObject({ decay: share, warmups: count, restartDecay: share }),
  augmentation: z.strictObject({
    /** In order: a list, or the name of one. Images are resized after them. */
    transforms: augmentationsSchema,
    /** Epoch, from 0, with which stage 2 begins: without strong augmentation and multi-scale. 0: there are no stages. */
    stopEpoch: count,
    /** How often the base size stands in the list of training sizes; null: always the base size. */
    baseSizeRepeat: size.nullable(),
  }),
  /** The number of the COCO evaluation by which epochs are compared. */
  bestBy: z.enum(COCO_STAT_NAMES),
  /** Ends the run after `patience` epochs in which `bestBy` has not risen by more than `minDelta`; null: never. */
  earlyStop: z.strictObject({ patience: size.nullable(), minDelta: rate }),
  /** Epochs between numbered checkpoints. */
  checkpointEvery: size,
  /** Steps between saved states inside an epoch; one is saved at each epoch's end too. */
  saveEvery: size,
  /**
   * Steps between copies of the training state in memory, to which a run goes back when its device is lost; the end of an
   * epoch is always one. None are made on devices that can't be lost.
   */
  snapshotEvery: size,
  limits: z.strictObject({
    /** Steps in a row without a finite loss and gradient after which training stops. */
    nonFiniteSteps: size,
    /** Share of the images that may turn out unusable (one may always); 0: none. */
    brokenImages: share,
    /** Largest image that is read, width times height in pixels. */
    maxPixels: size,
  }),
});

export const configSchema = z.strictObject({
  preset: z.enum(PRESET_NAMES),
  task: z.enum(TASK_NAMES),
  /** Whose numbers of epochs. */
  recipe: z.enum(RECIPE_NAMES),
  /** Whether boxes are refined as distributions (FDR): chooses box head and losses that the rest is laid over. */
  fdr: z.boolean(),
  /** Whether layers share their matches and learn from the last one (GO-LSD): chooses losses that the rest is laid over. */
  goLsd: z.boolean(),
  model: modelSchema,
  criterion: criterionSchema,
  train: trainSchema,
});

/** Losses and the matching that they rest on. @interface */
export type CriterionConfig = z.infer<typeof criterionSchema>;
/** What pairs of predictions and targets cost. @interface */
export type MatcherConfig = CriterionConfig["matcher"];
/** The recipe: how long, how fast and with which data a model is trained. @interface */
export type TrainConfig = z.infer<typeof trainSchema>;
export type OptimizerConfig = TrainConfig["optimizer"];
export type ParameterGroupConfig = OptimizerConfig["groups"][number];
/** A whole configuration, as `resolveConfig` makes it. @interface */
export type Config = z.infer<typeof configSchema>;
