import type { HostTensor } from "@dfine/nn";
import { type Tensor, tensor } from "@dfine/tensor";
import type { Config, DFinePresetName, ModelConfig } from "../packages/dfine/src/config/config.ts";
import { presetConfig } from "../packages/dfine/src/config/presets.ts";
import { toTensorData } from "../packages/dfine/src/data/image.ts";
import type { MatchTargets } from "../packages/dfine/src/loss/matches.ts";
import { buildDetector } from "../packages/dfine/src/model/architectures.ts";
import type { Detector } from "../packages/dfine/src/model/detector.ts";
import { DFineModel } from "../packages/dfine/src/model/dfineModel.ts";
import type { TrainingOutputs } from "../packages/dfine/src/model/outputs.ts";
import type { Pack, PackTensors } from "./pack.ts";
import { type FillRules, proceduralDraws, proceduralValues } from "./procedural.ts";

/** Packs are made with COCO's classes. */
export const configOf = (preset: DFinePresetName) => presetConfig(preset, "coco");

const TORCH_DTYPES = { f32: "float32", i32: "int64", bool: "bool" } as const;

/** PyTorch's name of a tensor's type; our whole numbers have 32 bits, PyTorch's 64. */
export const torchDtype = ({ dtype }: Tensor): string => TORCH_DTYPES[dtype];

/** A D-FINE of the preset with procedural weights. */
export const proceduralModel = (preset: DFinePresetName, rules: FillRules): DFineModel =>
  filled(new DFineModel(configOf(preset).model), rules);

/** Any detector with procedural weights. */
export const proceduralDetector = (config: ModelConfig, rules: FillRules): Detector =>
  filled(buildDetector(config), rules);

function filled<Model extends Detector>(model: Model, rules: FillRules): Model {
  const state = new Map<string, HostTensor>();
  for (const [name, entry] of model.stateDict()) {
    const data = proceduralValues({ name, shape: entry.shape, dtype: torchDtype(entry) }, rules);
    if (data !== "keep") state.set(name, { shape: entry.shape, data });
  }
  model.loadStateDict(state, { strict: false });
  return model;
}

/** Network inputs [B, 3, size, size], float32(RGB / 255). */
export async function packImages(pack: Pack, names: readonly string[], size: number): Promise<Tensor> {
  const data = new Float32Array(names.length * 3 * size * size);
  for (const [b, name] of names.entries())
    toTensorData(await pack.image(name, size), data, { offset: b * 3 * size * size });
  return tensor(data, [names.length, 3, size, size]);
}

/** Ground truth of a training pack. */
export const packTargets = (tensors: PackTensors, images: number): MatchTargets[] =>
  Array.from({ length: images }, (_, b) => ({
    labels: tensors.integers(`target.${b}.labels`),
    boxes: tensors.floats(`target.${b}.boxes`).values,
  }));

/** A training forward pass with the pack's draws; `suffix` names the step of an optimiser pack. */
export function trainingForward(
  model: Detector,
  images: Tensor,
  options: { targets: readonly MatchTargets[]; salt: string; suffix?: string },
): TrainingOutputs {
  const { targets, salt, suffix = "" } = options;
  const denoising = model.denoisingQueries(targets, proceduralDraws(salt, suffix));
  return model.trainingOutputs(images, { denoising });
}

/** W(n) of a preset, as the criterion needs it. */
export const weightingOf = ({ regMax, regScale, up }: Config["model"]["decoder"]) => ({ regMax, regScale, up });
