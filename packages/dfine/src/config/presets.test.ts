import { roundHalfEven } from "@dfine/nn";
import { describe, expect, test } from "vitest";
import { NO_PACK, referenceJson } from "../../../../parity/referencePack.ts";
import { checkInputSize } from "../model/architectures.ts";
import { evalLayerIndex } from "../model/decoderConfig.ts";
import { backboneLevels, tokenCount } from "../model/dfineConfig.ts";
import { elanWidth, repBlocks } from "../model/encoderBlocks.ts";
import { COCO_CATEGORY_IDS, COCO_CLASSES } from "./cocoClasses.ts";
import { configSchema, DFINE_PRESET_NAMES, TASK_NAMES } from "./config.ts";
import { presetConfig } from "./presets.ts";

interface Listing {
  state_dict: [string, number[], string][];
}

describe("presets", () => {
  test.each(DFINE_PRESET_NAMES.flatMap((preset) => TASK_NAMES.map((task) => [preset, task] as const)))(
    "%s for %s is a valid configuration and a fresh copy",
    (preset, task) => {
      const config = presetConfig(preset, task);
      expect(configSchema.parse(config)).toEqual(config);
      config.train.optimizer.groups.length = 0;
      config.model.backbone.stages.length = 0;
      expect(configSchema.safeParse(presetConfig(preset, task)).success).toBe(true);
    },
  );

  // Rows of the table in docs/specification.md §1: c4, RepVGG blocks, encoder input channels, strides, tokens at 640.
  test.each([
    ["n", 21, 2, [512, 1024], [16, 32], 2000],
    ["s", 64, 1, [256, 512, 1024], [8, 16, 32], 8400],
    ["m", 128, 2, [384, 768, 1536], [8, 16, 32], 8400],
    ["l", 128, 3, [512, 1024, 2048], [8, 16, 32], 8400],
    ["x", 192, 3, [512, 1024, 2048], [8, 16, 32], 8400],
  ] as const)(
    "%s has the derived sizes of docs/specification.md §1",
    (preset, width, blocks, channels, strides, tokens) => {
      const { model } = presetConfig(preset);
      expect(elanWidth(model.encoder)).toBe(width);
      expect(repBlocks(model.encoder)).toBe(blocks);
      expect(backboneLevels(model).map(({ channels }) => channels)).toEqual(channels);
      expect(backboneLevels(model).map(({ stride }) => stride)).toEqual(strides);
      expect(tokenCount(model, model.evalSize)).toBe(tokens);
      expect(model.decoder.points.reduce((sum, points) => sum + points, 0)).toBe(12);
      expect(model.encoder.transformerLevels).toEqual([strides.length - 1]);
      expect(evalLayerIndex(model.decoder)).toBe(model.decoder.layers - 1);
    },
  );

  test.for(DFINE_PRESET_NAMES)("%s has the shapes of the reference pack's listing", (preset, context) => {
    const listing = referenceJson<Listing>(`models/${preset}.json`);
    if (!listing) return context.skip(NO_PACK);
    const shapes = new Map(listing.state_dict.map(([name, shape]) => [name, shape]));
    const { backbone, encoder, decoder } = presetConfig(preset).model;
    const shapeOf = (name: string) => shapes.get(name);
    const names = [...shapes.keys()];
    const countOf = (pattern: RegExp) => new Set(names.flatMap((name) => pattern.exec(name)?.[1] ?? [])).size;

    expect(shapeOf("backbone.stem.stem1.conv.weight")).toEqual([backbone.stem.mid, 3, 3, 3]);
    expect(shapeOf("backbone.stem.stem4.conv.weight")?.slice(0, 2)).toEqual([backbone.stem.out, backbone.stem.mid]);
    backbone.stages.forEach((stage, s) => {
      const prefix = `backbone.stages.${s}`;
      expect(shapes.has(`${prefix}.downsample.conv.weight`)).toBe(stage.downsample);
      expect(countOf(new RegExp(`^${prefix}\\.blocks\\.(\\d+)\\.`))).toBe(stage.blocks);
      expect(countOf(new RegExp(`^${prefix}\\.blocks\\.0\\.layers\\.(\\d+)\\.`))).toBe(stage.layers);
      const layer = `${prefix}.blocks.0.layers.0`;
      const first = stage.light ? `${layer}.conv1.conv.weight` : `${layer}.conv.weight`;
      expect(shapeOf(first)).toEqual([stage.mid, stage.in, ...(stage.light ? [1, 1] : [stage.kernel, stage.kernel])]);
      if (stage.light)
        expect(shapeOf(`${layer}.conv2.conv.weight`)).toEqual([stage.mid, 1, stage.kernel, stage.kernel]);
      expect(shapeOf(`${prefix}.blocks.0.aggregation.1.conv.weight`)).toEqual([stage.out, stage.out / 2, 1, 1]);
    });
    expect(shapes.has("backbone.stem.stem1.lab.scale")).toBe(backbone.learnableAffine);
    expect(shapes.has("backbone.stem.stem1.bn.num_batches_tracked")).toBe(!backbone.freezeNorm);
    backboneLevels({ backbone }).forEach(({ channels }, i) => {
      expect(shapeOf(`encoder.input_proj.${i}.conv.weight`)).toEqual([encoder.hiddenDim, channels, 1, 1]);
    });
    expect(shapeOf("encoder.encoder.0.layers.0.linear1.weight")).toEqual([encoder.feedForwardDim, encoder.hiddenDim]);
    expect(shapeOf("encoder.fpn_blocks.0.cv2.1.conv.weight")?.slice(0, 2)).toEqual([
      elanWidth(encoder),
      elanWidth(encoder),
    ]);
    expect(countOf(/^encoder\.fpn_blocks\.0\.cv2\.0\.bottlenecks\.(\d+)\./)).toBe(repBlocks(encoder));
    expect(countOf(/^decoder\.decoder\.layers\.(\d+)\./)).toBe(decoder.layers);
    expect(shapeOf("decoder.decoder.layers.0.linear1.weight")).toEqual([decoder.feedForwardDim, decoder.hiddenDim]);
    expect(shapeOf("decoder.dec_bbox_head.0.layers.2.weight")).toEqual([4 * (decoder.regMax + 1), decoder.hiddenDim]);
    expect(shapeOf("decoder.decoder.layers.0.cross_attn.num_points_scale")).toEqual([12]);
    expect(shapeOf("decoder.anchors")).toEqual([1, tokenCount({ backbone }, [640, 640]), 4]);
  });
});

test("Python's rounding", () => {
  expect([0.5, 1.5, 2.5, 2.4, 2.6, -0.5, -1.5].map(roundHalfEven)).toEqual([0, 2, 2, 2, 3, 0, -2]);
});

test("COCO's classes and category ids", () => {
  expect(COCO_CLASSES).toHaveLength(80);
  expect(COCO_CATEGORY_IDS).toHaveLength(80);
  const id = (name: string) => COCO_CATEGORY_IDS[COCO_CLASSES.indexOf(name)];
  expect([id("person"), id("stop sign"), id("bench"), id("toothbrush"), id("toilet")]).toEqual([1, 13, 15, 90, 70]);
});

describe("input size", () => {
  const { model } = presetConfig("n");
  test("may be any multiple of 32 with enough tokens", () => {
    for (const size of [
      [256, 256],
      [320, 640],
      [640, 640],
    ] as const)
      expect(() => checkInputSize(model, size)).not.toThrow();
  });
  test("too small names the smallest", () => {
    // At 224: 14² + 7² = 245 tokens; at 256: 16² + 8² = 320.
    expect(() => checkInputSize(model, [224, 224])).toThrow(/245 tokens for 300 queries.*256x256/);
  });
  test("no multiple of 32 names the next", () => {
    expect(() => checkInputSize(model, [300, 640])).toThrow(/multiple of 32.*320x640/);
  });
});
