import { expect, test } from "vitest";
import { ConfigError } from "../../config/config.ts";
import { resolveConfig } from "../../config/resolve.ts";
import { completeOverrides } from "./overrides.ts";

test.each([
  ["train.ema.decay=0.9", "train.ema.decay=0.9"],
  ["ema.decay=0.9", "train.ema.decay=0.9"],
  ["warmupSteps=50", "train.schedule.warmupSteps=50"],
  ["numQueries=[1, 2]", "model.decoder.numQueries=[1, 2]"],
  ["alpha=0.5", "criterion.alpha=0.5"],
  ["preset=s", "preset=s"],
  ["classes=[a=b]", "model.classes=[a=b]"],
  ["nonsense=1", "nonsense=1"],
  ["no-equals", "no-equals"],
])("%s", (short, full) => {
  expect(completeOverrides([short])).toEqual([full]);
});

test.each([
  ["count=40", "model.queries.count=40"],
  ["queries.count=40", "model.queries.count=40"],
  ["numQueries=40", "numQueries=40"],
  ["neck.groups=8", "model.neck.groups=8"],
  ["dn.groups=8", "dn.groups=8"],
])("of another detector: %s", (short, full) => {
  expect(completeOverrides([short], { preset: "dino" })).toEqual([full]);
  expect(completeOverrides(["preset=dino", short])).toEqual(["preset=dino", full]);
});

test("keys of a part of another kind are known with it", () => {
  const given = ["backbone.type=hgnetv2", "learnableAffine=true", "denoising.groups=3"];
  expect(completeOverrides([...given, "denoising.type=dn"], { preset: "dab-detr" })).toEqual([
    "model.backbone.type=hgnetv2",
    "model.backbone.learnableAffine=true",
    "model.denoising.groups=3",
    "model.denoising.type=dn",
  ]);
  expect(completeOverrides(["learnableAffine=true"], { preset: "dab-detr" })).toEqual(["learnableAffine=true"]);
});

test("an ending of several keys is not guessed", () => {
  expect(() => completeOverrides(["hiddenDim=4"])).toThrow(ConfigError);
});

test("what is unknown gets the configuration's advice", () => {
  expect(() => resolveConfig({}, completeOverrides(["ema.decya=1"]))).toThrow(/did you mean "train\.ema\.decay"/);
});
