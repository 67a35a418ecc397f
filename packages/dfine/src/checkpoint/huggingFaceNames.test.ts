import { referenceBackend, withBackend } from "@dfine/tensor";
import { describe, expect, test } from "vitest";
import type { DFinePresetName } from "../config/config.ts";
import { presetConfig } from "../config/presets.ts";
import { DFineModel } from "../model/dfineModel.ts";
import { huggingFaceNames, officialName } from "./huggingFaceNames.ts";

const officialNames = (preset: DFinePresetName): string[] =>
  withBackend(referenceBackend(), () => {
    using model = new DFineModel(presetConfig(preset).model);
    return [...model.stateDict().keys()];
  });

describe.for(["n", "m", "l"] as const)("names of %s", (preset) => {
  const names = officialNames(preset);

  test("come back, one by one", () => {
    for (const name of names) {
      const there = huggingFaceNames(name);
      expect(there, name).toBeDefined();
      for (const translated of there!) expect(officialName(translated)?.name).toBe(name);
      if (there!.length > 1) expect(there!.map((translated) => officialName(translated)?.part)).toEqual([0, 1, 2]);
    }
    expect(names.filter((name) => huggingFaceNames(name)!.length === 0)).toEqual([
      "decoder.anchors",
      "decoder.valid_mask",
      "decoder.decoder.up",
      "decoder.decoder.reg_scale",
    ]);
  });

  test("are all different", () => {
    const all = names.flatMap((name) => huggingFaceNames(name)!);
    expect(new Set(all).size).toBe(all.length);
  });
});

test.each([
  ["class_embed.2.weight", "decoder.dec_score_head.2.weight", undefined],
  ["model.decoder.class_embed.2.weight", "decoder.dec_score_head.2.weight", undefined],
  ["bbox_embed.0.layers.1.bias", "decoder.dec_bbox_head.0.layers.1.bias", undefined],
  ["model.encoder.aifi.0.layers.0.mlp.layers.0.weight", "encoder.encoder.0.layers.0.linear1.weight", undefined],
  ["model.encoder.aifi.0.layers.0.mlp.fc2.bias", "encoder.encoder.0.layers.0.linear2.bias", undefined],
  [
    "model.encoder.aifi.0.layers.0.self_attn.o_proj.bias",
    "encoder.encoder.0.layers.0.self_attn.out_proj.bias",
    undefined,
  ],
  ["model.encoder.aifi.0.layers.0.self_attn.k_proj.bias", "encoder.encoder.0.layers.0.self_attn.in_proj_bias", 1],
  ["model.decoder.layers.5.mlp.layers.1.weight", "decoder.decoder.layers.5.linear2.weight", undefined],
  ["model.decoder.layers.5.self_attn.o_proj.weight", "decoder.decoder.layers.5.self_attn.out_proj.weight", undefined],
  ["model.decoder.layers.5.self_attn.v_proj.weight", "decoder.decoder.layers.5.self_attn.in_proj_weight", 2],
  [
    "model.decoder.lqe_layers.1.reg_conf.layers.0.weight",
    "decoder.decoder.lqe_layers.1.reg_conf.layers.0.weight",
    undefined,
  ],
  ["model.decoder_input_proj.2.0.weight", "decoder.input_proj.2.conv.weight", undefined],
  ["model.decoder_input_proj.2.1.running_var", "decoder.input_proj.2.norm.running_var", undefined],
])("%s is %s, whatever its generation", (name, official, part) => {
  expect(officialName(name)).toEqual(part === undefined ? { name: official } : { name: official, part });
});

test("unknown names are not guessed", () => {
  expect(officialName("model.decoder.something.weight")).toBeUndefined();
  expect(huggingFaceNames("neck.something.weight")).toBeUndefined();
});
