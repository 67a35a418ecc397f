import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpu } from "@dfine/backend-cpu";
import { readNamed, readSafetensors } from "@dfine/nn";
import { Random, withBackend } from "@dfine/tensor";
import { afterAll, beforeAll, expect, test } from "vitest";
import { lively } from "../../test/livelyModel.ts";
import { tinyModel } from "../../test/tinyModel.ts";
import { presetConfig } from "../config/presets.ts";
import { DFine } from "../dfine.ts";
import { DFine as FileDFine } from "../node/detector.ts";
import { tensorSources } from "../tensorFile.ts";
import { exportHuggingFace, exportSafetensors } from "./exportWeights.ts";
import { huggingFaceConfig, jsonText } from "./huggingFaceConfig.ts";
import { writeModelFile } from "./modelFile.ts";

const backend = cpu({ threads: 1 });
const device = { device: backend };
const classes = ["a", "b", "c"];
let detector: DFine;
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-export-"));
  const { model } = presetConfig("n");
  const config = { ...model, classes, evalSize: [320, 352] as [number, number] };
  using drawn = withBackend(backend, () => lively(config));
  const file = writeModelFile(tensorSources(await readNamed(drawn.stateDict())), { preset: "n", model: config });
  detector = await DFine.fromPretrained(file, device);
});
afterAll(async () => {
  detector.dispose();
  backend.dispose();
  await rm(folder, { recursive: true });
});

const image = () => {
  const random = new Random(1);
  return { width: 50, height: 40, data: Uint8Array.from({ length: 3 * 50 * 40 }, () => random.integer(256)) };
};
const found = async (of: DFine) => (await of.detect(image(), { threshold: 0, maxDetections: 20 }))[0];

/** A detector that was exported and opened again has the same weights and finds the same. */
async function expectSame(again: DFine): Promise<void> {
  expect(again.size).toEqual([320, 352]);
  const [before, after] = [await readNamed(detector.model.stateDict()), await readNamed(again.model.stateDict())];
  expect([...after.keys()]).toEqual([...before.keys()]);
  for (const [name, { data }] of before) expect(after.get(name)!.data, name).toEqual(data);
  expect((await found(again))!.objects).toEqual((await found(detector))!.objects);
}

test("safetensors: official names and element types, and opened again the same", async () => {
  const file = await exportSafetensors(detector);
  const { entries, metadata } = readSafetensors(file);
  expect(metadata.get("format")).toBe("pt");
  expect([...entries.keys()]).toEqual([...detector.model.stateDict().keys()]);
  // As torch.save has them.
  const types = Object.fromEntries([...entries].map(([name, { dtype }]) => [name.split(".").at(-1), dtype]));
  expect(types).toMatchObject({
    num_batches_tracked: "I64",
    valid_mask: "BOOL",
    reg_scale: "I64",
    up: "F32",
    weight: "F32",
  });
  using again = await DFine.fromPretrained(file, { ...device, classNames: classes });
  await expectSame(again);
});

test("safetensors of another input size have its anchors", async () => {
  using larger = await DFine.fromPretrained(await detector.save(), { ...device, size: [384, 320] });
  using again = await DFine.fromPretrained(await exportSafetensors(larger), device);
  expect(again.size).toEqual([384, 320]);
});

test("Hugging Face: a folder that is opened again the same, classes and size included", async () => {
  const files = await exportHuggingFace(detector);
  for (const [name, data] of Object.entries(files)) await writeFile(join(folder, name), data);
  using again = await FileDFine.fromPretrained(folder, device);
  expect(again.names).toEqual(classes);
  await expectSame(again);
});

// As the configurations on the hub have them (ustc-community/dfine-nano-coco and dfine-xlarge-coco).
test("Hugging Face: the configurations of n and x", () => {
  expect(huggingFaceConfig(presetConfig("n").model)).toMatchObject({
    ...{ encoder_hidden_dim: 128, encoder_in_channels: [512, 1024], feat_strides: [16, 32], encoder_ffn_dim: 512 },
    ...{ encode_proj_layers: [1], hidden_expansion: 0.34, depth_mult: 0.5, d_model: 128, num_feature_levels: 2 },
    ...{ decoder_in_channels: [128, 128], decoder_ffn_dim: 512, decoder_n_points: [6, 6], decoder_layers: 3 },
    ...{ eval_idx: -1, max_num_bins: 32, reg_scale: 4, up: 0.5, decoder_method: "default", num_denoising: 100 },
    backbone_config: {
      ...{ depths: [1, 1, 2, 1], hidden_sizes: [64, 256, 512, 1024], embedding_size: 16, stem_channels: [3, 16, 16] },
      ...{ stage_in_channels: [16, 64, 256, 512], stage_mid_channels: [16, 32, 64, 128] },
      ...{ stage_light_block: [false, false, true, true], stage_kernel_size: [3, 3, 5, 5] },
      ...{ stage_numb_of_layers: [3, 3, 3, 3], use_learnable_affine_block: true, out_indices: [3, 4] },
    },
  });
  const text = jsonText(huggingFaceConfig(presetConfig("x").model));
  expect(text).toContain('"encoder_hidden_dim": 384,');
  // Whole numbers would not pass as fractions.
  for (const line of ['"reg_scale": 8.0', '"depth_mult": 1.0', '"hidden_expansion": 1.0', '"up": 0.5'])
    expect(text).toContain(line);
});

test("Hugging Face: what transformers does not have is refused by name", () => {
  const config = (change: Parameters<typeof tinyModel>[0]) => () => huggingFaceConfig(tinyModel(change));
  expect(config(({ decoder }) => (decoder.boxHead = "delta"))).toThrow(/boxHead=distribution.* delta/);
  expect(config((model) => (model.resize = "letterbox"))).toThrow(/resize=squeeze.* letterbox/);
});
