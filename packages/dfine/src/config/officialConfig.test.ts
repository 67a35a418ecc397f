import { describe, expect, test } from "vitest";
import { ConfigError } from "./config.ts";
import { convertOfficial, mergeOfficial } from "./officialConfig.ts";

/** configs/dfine/include/*.yml, configs/runtime.yml and a data set's file of the official repository, merged. */
const include = {
  sync_bn: true,
  print_freq: 100,
  checkpoint_freq: 12,
  use_amp: true,
  use_ema: true,
  ema: { type: "ModelEMA", decay: 0.9999, warmups: 1000, start: 0 },
  epoches: 72,
  clip_max_norm: 0.1,
  optimizer: {
    type: "AdamW",
    params: [
      { params: "^(?=.*backbone)(?!.*norm).*$", lr: 0.0000125 },
      { params: "^(?=.*(?:encoder|decoder))(?=.*(?:norm|bn)).*$", weight_decay: 0 },
    ],
    lr: 0.00025,
    betas: [0.9, 0.999],
    weight_decay: 0.000125,
  },
  lr_scheduler: { type: "MultiStepLR", milestones: [500], gamma: 0.1 },
  lr_warmup_scheduler: { type: "LinearWarmup", warmup_duration: 500 },
  task: "detection",
  model: "DFINE",
  criterion: "DFINECriterion",
  postprocessor: "DFINEPostProcessor",
  use_focal_loss: true,
  eval_spatial_size: [640, 640],
  num_classes: 80,
  remap_mscoco_category: true,
  DFINE: { backbone: "HGNetv2", encoder: "HybridEncoder", decoder: "DFINETransformer" },
  HGNetv2: { pretrained: true, local_model_dir: "weight/hgnetv2/" },
  HybridEncoder: {
    in_channels: [512, 1024, 2048],
    feat_strides: [8, 16, 32],
    hidden_dim: 256,
    use_encoder_idx: [2],
    num_encoder_layers: 1,
    nhead: 8,
    dim_feedforward: 1024,
    dropout: 0,
    enc_act: "gelu",
    expansion: 1,
    depth_mult: 1,
    act: "silu",
  },
  DFINETransformer: {
    feat_channels: [256, 256, 256],
    feat_strides: [8, 16, 32],
    hidden_dim: 256,
    num_levels: 3,
    num_layers: 6,
    eval_idx: -1,
    num_queries: 300,
    num_denoising: 100,
    label_noise_ratio: 0.5,
    box_noise_scale: 1,
    reg_max: 32,
    reg_scale: 4,
    layer_scale: 1,
    num_points: [3, 6, 3],
    cross_attn_method: "default",
    query_select_method: "default",
  },
  DFINEPostProcessor: { num_top_queries: 300 },
  DFINECriterion: {
    weight_dict: { loss_vfl: 1, loss_bbox: 5, loss_giou: 2, loss_fgl: 0.15, loss_ddf: 1.5 },
    losses: ["vfl", "boxes", "local"],
    alpha: 0.75,
    gamma: 2,
    reg_max: 32,
    matcher: {
      type: "HungarianMatcher",
      weight_dict: { cost_class: 2, cost_bbox: 5, cost_giou: 2 },
      alpha: 0.25,
      gamma: 2,
    },
  },
  train_dataloader: {
    type: "DataLoader",
    shuffle: true,
    num_workers: 4,
    drop_last: true,
    total_batch_size: 32,
    dataset: {
      type: "CocoDetection",
      img_folder: "/data/COCO2017/train2017/",
      ann_file: "/data/COCO2017/annotations/instances_train2017.json",
      return_masks: false,
      transforms: {
        type: "Compose",
        ops: [
          { type: "RandomPhotometricDistort", p: 0.5 },
          { type: "RandomZoomOut", fill: 0 },
          { type: "RandomIoUCrop", p: 0.8 },
          { type: "SanitizeBoundingBoxes", min_size: 1 },
          { type: "RandomHorizontalFlip" },
          { type: "Resize", size: [640, 640] },
          { type: "SanitizeBoundingBoxes", min_size: 1 },
          { type: "ConvertPILImage", dtype: "float32", scale: true },
          { type: "ConvertBoxes", fmt: "cxcywh", normalize: true },
        ],
        policy: { name: "stop_epoch", epoch: 72, ops: ["RandomPhotometricDistort", "RandomZoomOut", "RandomIoUCrop"] },
      },
    },
    collate_fn: { type: "BatchImageCollateFunction", base_size: 640, base_size_repeat: 3, stop_epoch: 72 },
  },
  val_dataloader: { type: "DataLoader", total_batch_size: 64, shuffle: false },
};

/** configs/dfine/dfine_hgnetv2_s_coco.yml. */
const small = {
  __include__: ["../dataset/coco_detection.yml"],
  output_dir: "./output/dfine_hgnetv2_s_coco",
  HGNetv2: { name: "B0", return_idx: [1, 2, 3], freeze_at: -1, freeze_norm: false, use_lab: true },
  DFINETransformer: { num_layers: 3, eval_idx: -1 },
  HybridEncoder: { in_channels: [256, 512, 1024], hidden_dim: 256, depth_mult: 0.34, expansion: 0.5 },
  optimizer: {
    params: [
      { params: "^(?=.*backbone)(?!.*norm|bn).*$", lr: 0.0001 },
      { params: "^(?=.*backbone)(?=.*norm|bn).*$", lr: 0.0001, weight_decay: 0 },
      { params: "^(?=.*(?:encoder|decoder))(?=.*(?:norm|bn|bias)).*$", weight_decay: 0 },
    ],
    lr: 0.0002,
    betas: [0.9, 0.999],
    weight_decay: 0.0001,
  },
  epoches: 132,
  train_dataloader: {
    dataset: { transforms: { policy: { epoch: 120 } } },
    collate_fn: { stop_epoch: 120, ema_restart_decay: 0.9999, base_size_repeat: 20 },
  },
};

const convert = (over: object) => convertOfficial(mergeOfficial(include, over as typeof small));

describe("an official configuration", () => {
  test("of s on COCO is that preset and task", () => {
    expect(convert(small)).toEqual({ preset: "s", task: "coco", changes: new Map(), unknown: [] });
  });

  test("that was changed is the preset with these changes", () => {
    const changed = mergeOfficial(small, {
      epoches: 50,
      DFINECriterion: { weight_dict: { loss_ddf: 0 } },
      train_dataloader: { dataset: { transforms: { ops: [{ type: "RandomHorizontalFlip", p: 0.25 }] } } },
      my_key: { inner: 1 },
    });
    const { preset, task, changes, unknown } = convert(changed);
    expect([preset, task]).toEqual(["s", "coco"]);
    expect(Object.fromEntries(changes)).toEqual({
      "criterion.distillation": [],
      "train.epochs": 50,
      "train.augmentation.transforms": [{ name: "flip", probability: 0.25 }],
    });
    expect(unknown).toEqual(["my_key.inner"]);
  });

  test.each([
    [{ HGNetv2: { name: "B9" } }, /HGNetv2\.name = "B9"; known are B0, B2, B4, B5/],
    [
      { train_dataloader: { dataset: { transforms: { ops: [{ type: "RandomRotation" }] } } } },
      /"RandomRotation" is not known/,
    ],
  ])("%j is refused", (over, message) => {
    expect(() => convert(mergeOfficial(small, over))).toThrow(ConfigError);
    expect(() => convert(mergeOfficial(small, over))).toThrow(message);
  });
});
