import { AUGMENTATIONS, type AugmentationConfig } from "../data/augment/augmentations.ts";
import { describe } from "../describe.ts";
import { ConfigError, DFINE_PRESET_NAMES, type PresetName, TASK_NAMES, type TaskName } from "./config.ts";
import { HGNETV2 } from "./hgnetv2Sizes.ts";
import { presetConfig } from "./presets.ts";

/** A YAML file of the official repository. */
export type OfficialTree = Readonly<Record<string, unknown>>;
type Edit = readonly [path: string, value: unknown];

/** Key of ours whose value is that of an official key. */
const SAME: Readonly<Record<string, string>> = {
  "HGNetv2.use_lab": "model.backbone.learnableAffine",
  "HGNetv2.return_idx": "model.backbone.returnStages",
  "HGNetv2.freeze_at": "model.backbone.freezeAt",
  "HGNetv2.freeze_stem_only": "model.backbone.freezeStemOnly",
  "HGNetv2.freeze_norm": "model.backbone.freezeNorm",
  "HybridEncoder.hidden_dim": "model.encoder.hiddenDim",
  "HybridEncoder.use_encoder_idx": "model.encoder.transformerLevels",
  "HybridEncoder.num_encoder_layers": "model.encoder.layers",
  "HybridEncoder.nhead": "model.encoder.heads",
  "HybridEncoder.dim_feedforward": "model.encoder.feedForwardDim",
  "HybridEncoder.pe_temperature": "model.encoder.positionTemperature",
  "HybridEncoder.expansion": "model.encoder.expansion",
  "HybridEncoder.depth_mult": "model.encoder.depthMult",
  "DFINETransformer.hidden_dim": "model.decoder.hiddenDim",
  "DFINETransformer.dim_feedforward": "model.decoder.feedForwardDim",
  "DFINETransformer.nhead": "model.decoder.heads",
  "DFINETransformer.num_layers": "model.decoder.layers",
  "DFINETransformer.eval_idx": "model.decoder.evalLayer",
  "DFINETransformer.num_queries": "model.decoder.numQueries",
  "DFINETransformer.num_points": "model.decoder.points",
  "DFINETransformer.reg_max": "model.decoder.regMax",
  "DFINETransformer.reg_scale": "model.decoder.regScale",
  "DFINETransformer.cross_attn_method": "model.decoder.crossAttention",
  "DFINETransformer.query_select_method": "model.decoder.querySelect",
  "DFINETransformer.learn_query_content": "model.decoder.learnQueryContent",
  "DFINETransformer.eps": "model.decoder.anchorMargin",
  "DFINETransformer.num_denoising": "model.denoising.numDenoising",
  "DFINETransformer.label_noise_ratio": "model.denoising.labelNoiseRatio",
  "DFINEPostProcessor.num_top_queries": "model.numTopQueries",
  eval_spatial_size: "model.evalSize",
  "DFINECriterion.weight_dict.loss_vfl": "criterion.weights.vfl",
  "DFINECriterion.weight_dict.loss_bbox": "criterion.weights.bbox",
  "DFINECriterion.weight_dict.loss_giou": "criterion.weights.giou",
  "DFINECriterion.weight_dict.loss_fgl": "criterion.weights.fgl",
  "DFINECriterion.alpha": "criterion.alpha",
  "DFINECriterion.gamma": "criterion.gamma",
  "DFINECriterion.matcher.weight_dict.cost_class": "criterion.matcher.classWeight",
  "DFINECriterion.matcher.weight_dict.cost_bbox": "criterion.matcher.bboxWeight",
  "DFINECriterion.matcher.weight_dict.cost_giou": "criterion.matcher.giouWeight",
  "DFINECriterion.matcher.alpha": "criterion.matcher.alpha",
  "DFINECriterion.matcher.gamma": "criterion.matcher.gamma",
  epoches: "train.epochs",
  seed: "train.seed",
  clip_max_norm: "train.optimizer.clipMaxNorm",
  checkpoint_freq: "train.checkpointEvery",
  "optimizer.lr": "train.optimizer.learningRate",
  "optimizer.betas": "train.optimizer.betas",
  "optimizer.eps": "train.optimizer.eps",
  "optimizer.weight_decay": "train.optimizer.weightDecay",
  "lr_scheduler.milestones": "train.schedule.milestones",
  "lr_scheduler.gamma": "train.schedule.gamma",
  "lr_warmup_scheduler.warmup_duration": "train.schedule.warmupSteps",
  "ema.decay": "train.ema.decay",
  "ema.warmups": "train.ema.warmups",
  "train_dataloader.total_batch_size": "train.batch",
  "val_dataloader.total_batch_size": "train.valBatch",
  "train_dataloader.collate_fn.base_size_repeat": "train.augmentation.baseSizeRepeat",
  "train_dataloader.collate_fn.stop_epoch": "train.augmentation.stopEpoch",
  "train_dataloader.collate_fn.ema_restart_decay": "train.ema.restartDecay",
};

/** Official keys that need more than another name. */
const MADE: Readonly<Record<string, (value: unknown) => readonly Edit[]>> = {
  "HGNetv2.name": (name) => {
    const sizes = Object.hasOwn(HGNETV2, String(name)) ? HGNETV2[name as keyof typeof HGNETV2] : undefined;
    if (!sizes) throw new ConfigError(`HGNetv2.name = ${describe(name)}; known are ${Object.keys(HGNETV2).join(", ")}`);
    return [
      ["model.backbone.stem", sizes.stem],
      ["model.backbone.stages", sizes.stages],
    ];
  },
  "DFINECriterion.weight_dict.loss_ddf": (weight) => [
    ["criterion.distillation", weight === 0 ? [] : [{ kind: "ddf", weight, temperature: 5 }]],
  ],
  "optimizer.params": (groups) => {
    const list = groups as readonly { params: string; lr?: number; weight_decay?: number }[];
    const backbone = list.find(({ lr }) => lr !== undefined)?.lr;
    return [
      [
        "train.optimizer.groups",
        list.map(({ params: pattern, lr, weight_decay: weightDecay = "inherit" }) => ({
          ...{ pattern, learningRate: lr === undefined ? "base" : "backbone", weightDecay },
        })),
      ],
      ...(backbone === undefined ? [] : [["train.optimizer.backboneLearningRate", backbone] as const]),
    ];
  },
  "train_dataloader.dataset.transforms.ops": (ops) => [
    ["train.augmentation.transforms", (ops as readonly OfficialTree[]).flatMap(transform)],
  ],
};

/** What there is nothing of here, or follows from the rest or from the data: parts of official trees, by section. */
const WITHOUT_PLACE: readonly string[] = [
  ...["__include__", "output_dir", "task", "model", "criterion", "postprocessor", "evaluator", "num_classes"],
  ...[
    "remap_mscoco_category",
    "use_focal_loss",
    "print_freq",
    "find_unused_parameters",
    "sync_bn",
    "use_amp",
    "scaler",
  ],
  ...["use_ema", "tuning", "resume", "device", "use_wandb", "project_name", "exp_name", "DFINE", "val_dataloader"],
  ...under("ema", ["type", "start"]),
  ...["optimizer.type", "lr_scheduler.type", "lr_warmup_scheduler.type"],
  ...under("HGNetv2", ["pretrained", "local_model_dir"]),
  ...under("HybridEncoder", ["in_channels", "feat_strides", "dropout", "enc_act", "act", "eval_spatial_size"]),
  ...under("DFINETransformer", ["feat_channels", "feat_strides", "num_levels", "box_noise_scale", "layer_scale"]),
  ...under("DFINETransformer", ["activation", "dropout", "eval_spatial_size"]),
  ...under("DFINECriterion", ["losses", "reg_max", "matcher.type"]),
  ...under("train_dataloader", ["type", "shuffle", "num_workers", "drop_last"]),
  ...under("train_dataloader.collate_fn", ["type", "base_size"]),
  ...under("train_dataloader.dataset", ["type", "img_folder", "ann_file", "return_masks"]),
  ...under("train_dataloader.dataset.transforms", ["type", "policy"]),
];

function under(section: string, keys: readonly string[]): string[] {
  return keys.map((key) => `${section}.${key}`);
}

const hasNoPlace = (path: string): boolean =>
  WITHOUT_PLACE.some((known) => path === known || path.startsWith(`${known}.`));

const RENAMED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  RandomPhotometricDistort: { "": "photometricDistort", p: "probability" },
  RandomZoomOut: { "": "zoomOut", p: "probability", side_range: "sideRange" },
  RandomIoUCrop: { "": "iouCrop", p: "probability", trials: "trials", sampler_options: "minIou" },
  SanitizeBoundingBoxes: { "": "sanitize", min_size: "minSize" },
  RandomHorizontalFlip: { "": "flip", p: "probability" },
};
/** What every image goes through here. */
const ALWAYS: ReadonlySet<unknown> = new Set(["Resize", "ConvertPILImage", "ConvertBoxes"]);

/** One transform; those that the pipeline does anyway, after the flip, are left out. */
function transform({ type, ...given }: OfficialTree, i: number, all: readonly OfficialTree[]): AugmentationConfig[] {
  const names = RENAMED[String(type)];
  const isLast = type === "SanitizeBoundingBoxes" && all.slice(0, i).some((op) => op.type === "Resize");
  if (ALWAYS.has(type) || isLast) return [];
  if (!names)
    throw new ConfigError(
      `transforms.ops: ${describe(type)} is not known here; known are ${Object.keys(RENAMED).join(", ")}`,
    );
  const keys = Object.entries(given).flatMap(([key, value]) => (names[key] ? [[names[key], value]] : []));
  const found = AUGMENTATIONS.schema.safeParse({ name: names[""], ...Object.fromEntries(keys) });
  if (found.success) return [found.data];
  throw new ConfigError(`transforms.ops: ${describe(type)}: ${found.error.issues[0]?.message}`);
}

const isTree = (value: unknown): value is OfficialTree =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Official includes: trees merge key by key, all else is replaced. */
export function mergeOfficial(base: OfficialTree, over: OfficialTree): OfficialTree {
  const out: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const old = Object.hasOwn(out, key) ? out[key] : undefined;
    out[key] = isTree(old) && isTree(value) ? mergeOfficial(old, value) : value;
  }
  return out;
}

/** Every value with its path; trees are gone through as far as no row takes them whole. */
function leaves(tree: OfficialTree, prefix = ""): Edit[] {
  return Object.entries(tree).flatMap(([key, value]): Edit[] => {
    const path = prefix + key;
    return isTree(value) && !Object.hasOwn(MADE, path) ? leaves(value, `${path}.`) : [[path, value]];
  });
}

/** A configuration of ours, and what of the official one has no place in it. */
export interface ConvertedConfig {
  readonly preset: PresetName;
  readonly task: TaskName;
  /** Keys in which it differs from that preset and task, by their paths. */
  readonly changes: ReadonlyMap<string, unknown>;
  /** Official keys that were not understood. */
  readonly unknown: readonly string[];
}

/**
 * Converts an official configuration, its includes merged. Preset and task are those with the fewest differences.
 * @throws ConfigError for values that there is nothing of here
 */
export function convertOfficial(tree: OfficialTree): ConvertedConfig {
  const unknown: string[] = [];
  const edits = leaves(tree).flatMap(([path, value]): readonly Edit[] => {
    if (Object.hasOwn(SAME, path)) return [[SAME[path]!, value]];
    if (Object.hasOwn(MADE, path)) return MADE[path]!(value);
    if (!hasNoPlace(path)) unknown.push(path);
    return [];
  });
  let best: Omit<ConvertedConfig, "unknown"> | undefined;
  for (const preset of DFINE_PRESET_NAMES)
    for (const task of TASK_NAMES) {
      const usual = presetConfig(preset, task);
      const changes = new Map(edits.filter(([path, value]) => !isSame(valueAt(usual, path), value)));
      if (!best || changes.size < best.changes.size) best = { preset, task, changes };
    }
  return { ...best!, unknown };
}

const valueAt = (tree: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((value, key) => (value as OfficialTree | undefined)?.[key], tree);

/** Whether values are alike, whatever the order of keys. */
const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
const sorted = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(sorted)
    : isTree(value)
      ? Object.fromEntries(
          Object.entries(value)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([k, v]) => [k, sorted(v)]),
        )
      : value;
