import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { resnet50 } from "../model/resnet.ts";
import { ConfigError, DFINE_PRESET_NAMES, modelSchema } from "./config.ts";
import { presetConfig } from "./presets.ts";
import { type ConfigOptions, resolveConfig } from "./resolve.ts";

/** A configuration without the words that say which part it is of, as it was written when there was one of each. */
function unsaid<T>(value: T): T {
  const text = JSON.stringify(value, (key, inner) => (key === "type" || key === "architecture" ? undefined : inner));
  return JSON.parse(text);
}

describe("what names no parts", () => {
  test.each(DFINE_PRESET_NAMES)("means those of D-FINE: %s", (preset) => {
    const config = presetConfig(preset, "coco");
    expect(modelSchema.parse(unsaid(config.model))).toEqual(config.model);
    expect(resolveConfig(unsaid<ConfigOptions>(config))).toEqual(config);
  });
});

describe("another type", () => {
  test("brings its own configuration with it, for as many levels as there were", () => {
    for (const preset of DFINE_PRESET_NAMES) {
      const levels = preset === "n" ? 2 : 3;
      const { model } = resolveConfig({ preset }, ["model.backbone.type=resnet50"]);
      expect(model.backbone).toEqual(resnet50.defaults(levels));
      expect({ ...model, backbone: undefined }).toEqual({ ...presetConfig(preset).model, backbone: undefined });
    }
  });

  test("with keys of its own beside it, in one patch or the next, in any order of keys", () => {
    const expected = { ...resnet50.defaults(3), freezeAt: 1, freezeNorm: true };
    const backbone = { freezeAt: 1, freezeNorm: true, type: "resnet50" } as const;
    expect(resolveConfig({ preset: "s", model: { backbone } }).model.backbone).toEqual(expected);
    const overrides = ["type=resnet50", "freezeAt=1", "freezeNorm=true"].map((text) => `model.backbone.${text}`);
    expect(resolveConfig({ preset: "s" }, overrides).model.backbone).toEqual(expected);
    const stored = resolveConfig({ preset: "s" }, overrides);
    expect(resolveConfig(structuredClone(stored))).toEqual(stored);
  });

  test("the same type keeps what there is", () => {
    expect(resolveConfig({}, ["model.backbone.type=hgnetv2", "model.encoder.type=hybrid"])).toEqual(presetConfig("n"));
  });

  test("and back is that type's own", () => {
    const { model } = resolveConfig({ preset: "s" }, ["model.backbone.type=resnet50", "model.backbone.type=hgnetv2"]);
    expect(model.backbone).toMatchObject({ type: "hgnetv2", returnStages: [1, 2, 3] });
  });

  test.each([
    [
      "model.backbone.type=resnet5",
      /model\.backbone\.type = "resnet5"; choose one of hgnetv2, resnet50; did you mean "resnet50"\?/,
    ],
    ["model.backbone.type=7", /model\.backbone\.type = 7; choose one of hgnetv2, resnet50$/],
    ["model.backbone.type=toString", /choose one of hgnetv2, resnet50/],
    ["model.decoder.type=detr", /choose one of dfine/],
    ["model.architecture=rtdetr", /model\.architecture = "rtdetr": .*'dfine'/],
    ["model.architecture=detr", /model\.architecture = "detr", but that of preset n is dfine; choose .*dab-detr/],
    [
      "model.backbone={type: resnet50, stem: 3}",
      /unknown key "model\.backbone\.stem"; .*known here: type, returnStages|did you mean/,
    ],
    ["model.backbone={type: resnet50, freezeAt: one}", /model\.backbone\.freezeAt = "one": expected number/],
    ["model.backbone={type: resnet50, returnStages: [3, 4]}", /returnStages \[3,4\] name stages beyond the 4/],
    ["model.backbone={type: resnet50, returnStages: [1, 2, 3]}", /model\.decoder\.points has 2 entries for 3 levels/],
  ])("%s is refused", (override, message) => {
    expect(() => resolveConfig({}, [override])).toThrow(ConfigError);
    expect(() => resolveConfig({}, [override])).toThrow(message);
  });

  test("any type is one that there is, or refused", () => {
    const place = fc.constantFrom("backbone", "encoder", "decoder", "denoising");
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom("hgnetv2", "resnet50", "hybrid", "dfine", "contrastive", "__proto__"),
    );
    fc.assert(
      fc.property(place, word, (key, type) => {
        try {
          const found = resolveConfig({ model: { [key]: { type } } }).model;
          expect(Object.entries(found).find(([name]) => name === key)?.[1]).toMatchObject({ type });
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
        }
      }),
    );
  });
});
