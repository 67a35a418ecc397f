import { describe, expect, test } from "vitest";
import { NO_PACK, referenceJson } from "../../../../parity/referencePack.ts";
import { ConfigError, DFINE_PRESET_NAMES } from "./config.ts";
import { groupParameters } from "./parameterGroups.ts";
import { presetConfig } from "./presets.ts";

interface Listing {
  parameters: string[];
  frozen: string[];
}

/** Parameter tensors in each group for 80 classes, docs/specification.md §2. */
const COUNTS = {
  n: [186, 0, 151, 91],
  s: [186, 0, 191, 111],
  m: [262, 0, 242, 140],
  l: [75, 220, 274],
  x: [125, 226, 277],
};

const groupsOf = (preset: (typeof DFINE_PRESET_NAMES)[number]) => presetConfig(preset, "coco").train.optimizer.groups;

describe("groupParameters", () => {
  test("behaves as the official patterns do", () => {
    const names = [
      "backbone.stem.stem1.conv.weight",
      "backbone.stem.stem1.bn.weight",
      "backbone.stem.stem1.lab.scale",
      "decoder.decoder.layers.0.norm1.weight",
      "decoder.decoder.layers.0.linear1.bias",
      "encoder.input_proj.0.conv.weight",
    ];
    const [backbone, none, plain, rest] = groupParameters(names, groupsOf("n"));
    expect(backbone).toMatchObject({ learningRate: "backbone", weightDecay: "inherit", names: names.slice(0, 3) });
    expect(none).toMatchObject({ learningRate: "backbone", weightDecay: 0, names: [] });
    expect(plain).toMatchObject({ learningRate: "base", weightDecay: 0, names: names.slice(3, 5) });
    expect(rest).toEqual({ pattern: null, learningRate: "base", weightDecay: "inherit", names: [names[5]] });
    // L and X decay biases.
    expect(groupParameters(names, groupsOf("l"))[1]?.names).toEqual([names[3]]);
  });

  test("refuses overlapping patterns", () => {
    const group = { learningRate: "base", weightDecay: 0 } as const;
    const patterns = [
      { pattern: "weight", ...group },
      { pattern: "^a", ...group },
    ];
    expect(() => groupParameters(["a.weight"], patterns)).toThrow(ConfigError);
    expect(() => groupParameters(["a.weight"], patterns)).toThrow(/a\.weight matches both weight and \^a/);
  });

  test.for(DFINE_PRESET_NAMES)("%s has the group sizes of docs/specification.md §2", (preset, context) => {
    const listing = referenceJson<Listing>(`models/${preset}.json`);
    if (!listing) return context.skip(NO_PACK);
    const frozen = new Set(listing.frozen);
    const names = listing.parameters.filter((name) => !frozen.has(name));
    const groups = groupParameters(names, groupsOf(preset));
    expect(groups.map((group) => group.names.length)).toEqual(COUNTS[preset]);
  });

  test("gives the reference pack's optimiser groups", (context) => {
    const optim = referenceJson<{ groups: { names: string[]; weight_decay: number; initial_lr: number }[] }>(
      "optim/n.json",
    );
    if (!optim) return context.skip(NO_PACK);
    const { learningRate, backboneLearningRate, weightDecay, groups } = presetConfig("n", "coco").train.optimizer;
    const names = optim.groups.flatMap((group) => group.names);
    const order = referenceJson<Listing>("models/n.json")?.parameters ?? names;
    const given = order.filter((name) => names.includes(name));
    const resolved = groupParameters(given, groups).map((group) => ({
      names: group.names,
      weight_decay: group.weightDecay === "inherit" ? weightDecay : group.weightDecay,
      initial_lr: group.learningRate === "backbone" ? backboneLearningRate : learningRate,
    }));
    expect(resolved).toEqual(
      optim.groups.map(({ names, weight_decay, initial_lr }) => ({ names, weight_decay, initial_lr })),
    );
  });
});
