import { augmentationsSchema } from "../data/augment/augmentations.ts";
import { dfineDecoder } from "../model/decoder.ts";
import { contrastive } from "../model/denoising.ts";
import type { DFineConfig } from "../model/dfineConfig.ts";
import { hgNetV2 } from "../model/hgnetv2.ts";
import { hybrid } from "../model/hybridEncoder.ts";
import { COCO_NAMES_BY_ID } from "./cocoClasses.ts";
import type { Config, DFinePresetName, PresetName, RecipeName, TaskName, TrainConfig } from "./config.ts";
import { detrCriterion, dfineCriterion, type Methods } from "./criteria.ts";
import { detrModel } from "./detrPresets.ts";
import { detrTraining } from "./detrRecipes.ts";
import { HGNETV2, type HgNetV2Config } from "./hgnetv2Sizes.ts";
import { RECIPES, recipeOf } from "./recipes.ts";
import { USUAL_TRAINING } from "./usualTraining.ts";

/** Presets of D-FINE have HGNetv2 as their backbone. */
export type PresetModel = DFineConfig & { backbone: HgNetV2Config };

/**
 * What distinguishes the architectures of the presets, beside the defaults of their parts. They use as many levels as they
 * have points for.
 */
interface ModelRow {
  backbone: keyof typeof HGNETV2;
  /** Fixed stem and fixed batch norm, in backbones without learnable affine blocks. */
  frozen?: boolean;
  encoder?: Partial<Pick<DFineConfig["encoder"], "hiddenDim" | "feedForwardDim" | "expansion" | "depthMult">>;
  decoder: Pick<DFineConfig["decoder"], "points"> &
    Partial<Pick<DFineConfig["decoder"], "hiddenDim" | "feedForwardDim" | "layers" | "regScale">>;
}

const uneven = [3, 6, 3];

const MODELS: Record<DFinePresetName, ModelRow> = {
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
    ...{ epochs, batch },
    ...USUAL_TRAINING,
    ...{ valBatch, checkpointEvery },
    optimizer: {
      ...USUAL_TRAINING.optimizer,
      ...{ learningRate, backboneLearningRate, weightDecay },
      groups: frozenNorm ? FROZEN_NORM_GROUPS : TRAINED_NORM_GROUPS,
    },
    schedule: { ...USUAL_TRAINING.schedule, warmupSteps, milestones: [500] },
    ema: { decay: 0.9999, warmups: emaWarmups, restartDecay },
    augmentation: { transforms: augmentationsSchema.parse("official"), stopEpoch, baseSizeRepeat },
  };
}

const isDFine = (preset: PresetName): preset is DFinePresetName => Object.hasOwn(MODELS, preset);

/** Such classes as a task has, where the annotations do not say them. COCO's are counted by their ids. */
const detrClasses = (task: TaskName): readonly string[] => (task === "coco" ? COCO_NAMES_BY_ID : RECIPES[task].classes);

function completeConfig({ preset, task, recipe, ...given }: PresetChoice): Config {
  const { fdr = isDFine(preset), goLsd = isDFine(preset) } = given;
  const about = { preset, task, recipe, fdr, goLsd };
  if (isDFine(preset)) {
    const row = MODELS[preset];
    const numbers = recipeOf(preset, task, recipe);
    const usual = model(row, numbers.classes);
    return {
      ...about,
      model: { ...usual, decoder: { ...usual.decoder, boxHead: fdr ? usual.decoder.boxHead : "delta" } },
      criterion: dfineCriterion(about),
      train: train(numbers, row.frozen),
    };
  }
  const usual = detrModel(preset, detrClasses(task));
  return {
    ...about,
    model: { ...usual, decoder: { ...usual.decoder, boxHead: fdr ? "distribution" : usual.decoder.boxHead } },
    criterion: detrCriterion(preset, about),
    train: detrTraining(preset, recipe),
  };
}

/** What a complete configuration follows from. */
interface PresetChoice extends Partial<Methods> {
  readonly preset: PresetName;
  readonly task: TaskName;
  readonly recipe: RecipeName;
}

/**
 * Complete configuration of a preset with a task's recipe, with the methods that belong to it or those given; a fresh copy at
 * every call.
 * @throws ConfigError for the paper's recipe where the paper has none
 */
export function presetConfig<Name extends PresetName>(
  preset: Name,
  task: TaskName = "custom",
  recipe: RecipeName = "official",
  methods: Partial<Methods> = {},
): Name extends DFinePresetName ? Config & { model: PresetModel } : Config {
  return structuredClone(completeConfig({ preset, task, recipe, ...methods })) as ReturnType<typeof presetConfig<Name>>;
}
