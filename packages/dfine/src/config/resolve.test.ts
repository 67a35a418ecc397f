import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { ConfigError } from "./config.ts";
import { presetConfig } from "./presets.ts";
import { type ConfigOptions, resolveConfig } from "./resolve.ts";

describe("resolveConfig", () => {
  test("without options gives the preset", () => {
    expect(resolveConfig()).toEqual(presetConfig("n", "custom"));
    expect(resolveConfig({ preset: "x", task: "coco" })).toEqual(presetConfig("x", "coco"));
    expect(resolveConfig({ preset: "x" }, ["preset=s"])).toEqual(presetConfig("s", "custom"));
  });

  test("merges trees key by key, replaces lists, and lets overrides win", () => {
    const config = resolveConfig(
      { preset: "s", model: { classes: ["a", "b"], decoder: { numQueries: 100 } }, train: { batch: 4 } },
      ["train.batch=8", "train.ema.decay=0.998", "model.decoder.points=[4, 4, 4]", "train.optimizer.learningRate=1e-3"],
    );
    const expected = presetConfig("s", "custom");
    expected.model.classes = ["a", "b"];
    expected.model.decoder.numQueries = 100;
    expected.model.decoder.points = [4, 4, 4];
    expected.train.batch = 8;
    expected.train.ema.decay = 0.998;
    expected.train.optimizer.learningRate = 1e-3;
    expect(config).toEqual(expected);
  });

  test.each([
    ["preset=q", "n"],
    ["task=coc", "coco"],
    ["train.schedule.type=cosin", "cosine"],
    ["train.freeze=[backbon]", "backbone"],
    ["train.optimizer.groups=[{pattern: a, learningRate: bas, weightDecay: inherit}]", "base"],
    ["model.backbone.type=hgnetv", "hgnetv2"],
    ["model.decoder.boxHead=distribtion", "distribution"],
    ["model.resize=leterbox", "letterbox"],
    ["train.augmentation.transforms=officail", "official"],
    ["train.augmentation.transforms=[flipp]", "flip"],
    ["train.augmentation.transforms=[{name: flip, probabilty: 1}]", "probability"],
    ["train.optimizr.eps=1", "train.optimizer"],
  ])("%s is answered with the nearest right one", async (override, meant) => {
    const error = await thrown(() => resolveConfig({}, [override]));
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toContain(`did you mean ${JSON.stringify(meant)}?`);
  });

  test("augmentations may be called by their names", () => {
    const { transforms } = resolveConfig({}, ["train.augmentation.transforms=[flip, mixup]"]).train.augmentation;
    expect(transforms).toEqual([
      { name: "flip", probability: 0.5 },
      { name: "mixup", probability: 0.15, alpha: 32 },
    ]);
  });

  test("text is a value", () => {
    expect(resolveConfig({ preset: "s" }, ["model.classes=[cat, dog]"]).model.classes).toEqual(["cat", "dog"]);
  });

  test("augmentations are a list or the name of one", () => {
    const names = (value: string) =>
      resolveConfig({}, [`train.augmentation.transforms=${value}`]).train.augmentation.transforms.map(
        ({ name }) => name,
      );
    expect(names("official")).toEqual(["photometricDistort", "zoomOut", "iouCrop", "sanitize", "flip"]);
    expect(names("none")).toEqual([]);
    expect(names("[{ name: flip, probability: 0.25 }]")).toEqual(["flip"]);
    expect(() => names("heavy")).toThrow(/train\.augmentation\.transforms/);
    expect(() => names("[{ name: zoomOut, sideRange: [4, 1] }]")).toThrow(/transforms\.0\.sideRange.*from low to high/);
  });

  test("stored configurations that only mirrored images mean what they meant", () => {
    const { transforms, ...rest } = presetConfig("s").train.augmentation;
    const { preset, train } = presetConfig("s");
    const stored = { preset, train: { ...train, augmentation: { ...rest, flip: 0.25 } } } as ConfigOptions;
    expect(resolveConfig(stored).train.augmentation).toEqual({
      transforms: [{ name: "flip", probability: 0.25 }],
      stopEpoch: rest.stopEpoch,
      baseSizeRepeat: null,
    });
  });

  test("shares nothing with the options", () => {
    const points = [6, 6];
    const config = resolveConfig({ model: { decoder: { points } } });
    points.push(1);
    expect(config.model.decoder.points).toEqual([6, 6]);
  });

  test.each([
    ["train.batchs=8", /unknown key "train\.batchs"; did you mean "train\.batch"/],
    ["learningRate=1", /did you mean "train\.optimizer\.learningRate"/],
    ["modle.classes=[a]", /unknown key "modle"; did you mean "model"/],
    ["train.learningRte=1", /did you mean "train\.optimizer\.learningRate"/],
    ["train.zzzzzzzzzzzz=1", /known here: epochs, batch/],
    ["train.constructor=1", /unknown key "train\.constructor"/],
    ["__proto__.polluted=1", /unknown key "__proto__"/],
    ["train.batch=eight", /train\.batch = "eight": expected number, received string, for example 128/],
    ["train.batch=2.5", /train\.batch = 2\.5: expected int/],
    ["train.batch=0", /train\.batch = 0/],
    ["train.batch={a: 1}", /train\.batch = \{"a":1\}/],
    ["train=5", /train = 5/],
    ["model.decoder.fusion=gates", /model\.decoder\.fusion = "gates".*"gate"\|"residual"/],
    ["model.classes=[]", /model\.classes = \[\].*at least one/],
    ["model.evalSize=[640, 650]", /model\.evalSize\.1 = 650: .*multiple of 32/],
    ["model.decoder.regMax=31", /model\.decoder\.regMax = 31/],
    [
      "train.optimizer.groups=[{pattern: '(', learningRate: base, weightDecay: 0}]",
      /pattern = "\(".*regular expression/,
    ],
    ["preset=q", /preset = "q"; choose one of n, s, m, l, x/],
    ["nonsense", /key=value/],
    ["=3", /key=value/],
    ["train.batch=[1", /cannot be read/],
    ["model.decoder.points=[3, 6, 3]", /3 entries for 2 levels/],
    ["model.backbone.returnStages=[2, 4]", /returnStages \[2,4\].*beyond the 4/],
    ["model.encoder.transformerLevels=[2]", /beyond the 2/],
    ["model.decoder.heads=7", /multiple of 7 heads/],
    ["model.decoder.evalLayer=3", /none of the 3 layers/],
    ["train.schedule.milestones=[5, 5]", /must ascend/],
  ])("%s is refused with a reason", (override, message) => {
    expect(() => resolveConfig({}, [override])).toThrow(ConfigError);
    expect(() => resolveConfig({}, [override])).toThrow(message);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test.each([
    ["config-key", "train.batchs=8"],
    ["config-key-elsewhere", "learningRate=1"],
    ["config-key-unlike", "train.zzzzzzzzzzzz=1"],
    ["config-key-long", `train.${"x".repeat(100_000)}=1`],
    ["config-type", "train.batch=eight"],
    ["config-choice", "model.decoder.fusion=gates"],
    ["config-together", "model.decoder.points=[3, 6, 3]"],
    ["config-form", "nonsense"],
    ["config-value", "train.batch=[1"],
    ["config-prototype", "__proto__.polluted=1"],
    ["config-rate", "train.optimizer.learningRate=.nan"],
  ])("%s", async (row, override) => {
    const start = performance.now();
    const error = await thrown(() => resolveConfig({}, [override]));
    expect(error).toBeInstanceOf(ConfigError);
    says(row, error);
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test("any text is either accepted or refused with ConfigError", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          resolveConfig({}, [text, `train.${text}`]);
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
        }
      }),
    );
  });

  test("unknown keys of options are refused too", () => {
    const options = { train: { batchSize: 3 } } as ConfigOptions;
    expect(() => resolveConfig(options)).toThrow(/"train\.batchSize".*known here|did you mean/);
  });
});
