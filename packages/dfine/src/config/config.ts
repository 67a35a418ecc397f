import * as z from "zod";

/** A configuration that cannot be used; the message names the key, both facts and the remedy. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** Sizes of D-FINE, smallest first. */
export const PRESET_NAMES = ["n", "s", "m", "l", "x"] as const;
/** Recipes: COCO from the paper, or your own data. */
export const TASK_NAMES = ["coco", "custom"] as const;
/** One of `PRESET_NAMES`. */
export type PresetName = (typeof PRESET_NAMES)[number];
/** One of `TASK_NAMES`. */
export type TaskName = (typeof TASK_NAMES)[number];

const count = z.int().min(0);
const size = z.int().min(1);
const rate = z.number().min(0);
const share = z.number().min(0).max(1);

const isPattern = (text: string) => {
  try {
    new RegExp(text);
    return true;
  } catch {
    return false;
  }
};

/** One stage of HGNetv2: an optional stride-2 downsampling, then `blocks` blocks of `layers` convolutions. */
const backboneStage = z.strictObject({
  in: size,
  mid: size,
  out: size,
  blocks: size,
  layers: size,
  downsample: z.boolean(),
  /** A 1x1 convolution followed by a depthwise one instead of one dense convolution. */
  light: z.boolean(),
  kernel: size,
});

const backbone = z.strictObject({
  stem: z.strictObject({ mid: size, out: size }),
  stages: z.array(backboneStage).min(1),
  /** A learnable scale and bias after each activation. */
  learnableAffine: z.boolean(),
  /** Stages whose outputs go on to the encoder, finest first. */
  returnStages: z.array(count).min(1),
  /** -1: nothing; 0: the stem; k: the stem and, without `freezeStemOnly`, the first k + 1 stages. */
  freezeAt: z.int().min(-1),
  freezeStemOnly: z.boolean(),
  /** Batch norm with fixed statistics and no parameters. */
  freezeNorm: z.boolean(),
});

const encoder = z.strictObject({
  hiddenDim: size,
  feedForwardDim: size,
  heads: size,
  /** Transformer layers on each level of `transformerLevels`. */
  layers: count,
  /** Positions in the list of levels, finest 0. */
  transformerLevels: z.array(count),
  positionTemperature: z.number().positive(),
  block: z.enum(["gelan", "csp"]),
  /** Inner width of a block relative to `hiddenDim`; see `elanWidth`. */
  expansion: z.number().positive(),
  /** Depth of a block relative to 3; see `repBlocks`. */
  depthMult: z.number().positive(),
});

const decoder = z.strictObject({
  hiddenDim: size,
  feedForwardDim: size,
  heads: size,
  layers: size,
  /** Layer whose output is used outside training; negative counts from the end. */
  evalLayer: z.int(),
  /** Sampling points per head on each level, finest first. */
  points: z.array(size).min(1),
  /** Scale of sampling offsets relative to the reference box. */
  offsetScale: z.number().positive(),
  crossAttention: z.enum(["default", "discrete"]),
  /** How the cross-attention result joins the query: D-FINE's target gate, or residual and layer norm. */
  fusion: z.enum(["gate", "residual"]),
  numQueries: size,
  querySelect: z.enum(["default", "one2many", "agnostic"]),
  learnQueryContent: z.boolean(),
  /** Anchors nearer than this to 0 or 1 in any component are invalid. */
  anchorMargin: rate,
  /** Edges as distributions over bins refined layer by layer, or four plain deltas per layer. */
  boxHead: z.enum(["distribution", "delta"]),
  /** Bins per edge, N of the paper. */
  regMax: z.int().min(4).multipleOf(2),
  /** 1/c of the paper's W(n). */
  regScale: z.number().positive(),
  /** a of the paper's W(n). */
  up: z.number().positive(),
});

const denoising = z.strictObject({
  /** Queries shared by the groups; 0 turns denoising off. */
  numDenoising: count,
  labelNoiseRatio: share,
  boxNoiseScale: rate,
});

/** The architecture: everything that fixes the names and shapes of the weights and the forward pass. */
export const modelSchema = z.strictObject({
  classes: z.array(z.string()).min(1, "at least one class name is needed"),
  /** Input height and width outside multi-scale training, pixels. */
  evalSize: z.tuple([z.int().positive().multipleOf(32), z.int().positive().multipleOf(32)]),
  backbone,
  encoder,
  decoder,
  denoising,
  /** Detections per image. */
  numTopQueries: size,
});

/** Losses and the matching that they rest on. */
export const criterionSchema = z.strictObject({
  /** Box losses on the union of all layers' matches (GO-LSD), or on each layer's own. */
  matching: z.enum(["union", "layer"]),
  weights: z.strictObject({ vfl: rate, bbox: rate, giou: rate, fgl: rate }),
  alpha: rate,
  gamma: rate,
  /** Terms by which the last layer teaches the earlier ones. */
  distillation: z.array(z.strictObject({ kind: z.enum(["ddf"]), weight: rate, temperature: z.number().positive() })),
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
      learningRate: z.enum(["base", "backbone"]),
      weightDecay: z.union([z.literal("inherit"), rate]),
    }),
  ),
  /** Largest global L2 norm of the gradients; 0 turns clipping off. */
  clipMaxNorm: rate,
});

/** The recipe: how long, how fast and with which data a model is trained. */
export const trainSchema = z.strictObject({
  epochs: size,
  /** Images per step. */
  batch: size,
  valBatch: size,
  seed: count,
  optimizer,
  /** Linear warm-up in steps; the rate is multiplied by `gamma` at each epoch of `milestones`. */
  schedule: z.strictObject({ warmupSteps: count, milestones: z.array(count), gamma: rate }),
  /** `warmups`: steps over which the decay rises. */
  ema: z.strictObject({ decay: share, warmups: count }),
  augmentation: z.strictObject({
    flip: share,
    /** Epoch from which strong augmentation and multi-scale stop. */
    stopEpoch: count,
    /** How often the base size stands in the list of training sizes; null: always the base size. */
    baseSizeRepeat: size.nullable(),
  }),
  /** Epochs between numbered checkpoints. */
  checkpointEvery: size,
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
  }),
});

export const configSchema = z.strictObject({
  preset: z.enum(PRESET_NAMES),
  task: z.enum(TASK_NAMES),
  model: modelSchema,
  criterion: criterionSchema,
  train: trainSchema,
});

/** The architecture: everything that fixes the names and shapes of the weights and the forward pass. @interface */
export type ModelConfig = z.infer<typeof modelSchema>;
export type BackboneConfig = ModelConfig["backbone"];
export type BackboneStageConfig = BackboneConfig["stages"][number];
export type EncoderConfig = ModelConfig["encoder"];
export type DecoderConfig = ModelConfig["decoder"];
export type DenoisingConfig = ModelConfig["denoising"];
/** Losses and the matching that they rest on. @interface */
export type CriterionConfig = z.infer<typeof criterionSchema>;
export type MatcherConfig = CriterionConfig["matcher"];
/** The recipe: how long, how fast and with which data a model is trained. @interface */
export type TrainConfig = z.infer<typeof trainSchema>;
export type OptimizerConfig = TrainConfig["optimizer"];
export type ParameterGroupConfig = OptimizerConfig["groups"][number];
/** Keys that nothing reads yet, as paths: giving them another value than the preset's is an error. */
export const WITHOUT_EFFECT: readonly string[] = ["train.augmentation.stopEpoch", "train.augmentation.baseSizeRepeat"];

/** A whole configuration, as `resolveConfig` makes it. @interface */
export type Config = z.infer<typeof configSchema>;
