import { readNamed, type SafetensorsSource, writeSafetensors } from "@dfine/nn";
import { type Backend, Random, referenceBackend, withBackend } from "@dfine/tensor";
import { huggingFaceNames } from "../src/checkpoint/huggingFaceNames.ts";
import { writeModelFile } from "../src/checkpoint/modelFile.ts";
import type { DFinePresetName, ModelConfig, PresetName } from "../src/config/config.ts";
import { resolveConfig } from "../src/config/resolve.ts";
import { buildDetector } from "../src/model/architectures.ts";
import type { DFineConfig } from "../src/model/dfineConfig.ts";
import { tensorSource } from "../src/tensorFile.ts";
import { orderedDict, type Source, type TorchFile, torchFile } from "./torchFile.ts";

/** Values of a state dict on the host, by official name. */
export type State = Map<string, { readonly shape: readonly number[]; readonly data: Float32Array | Int32Array }>;

/** First values of a model, counters and whole numbers included. */
export async function freshState(config: ModelConfig, seed = 0, backend: Backend = referenceBackend()): Promise<State> {
  const model = withBackend(backend, () => buildDetector(config).initialize(new Random(seed)));
  try {
    return (await readNamed(model.stateDict())) as State;
  } finally {
    model.dispose();
  }
}

/** The configuration of a preset with this many classes. */
export const presetModel = <Name extends PresetName>(preset: Name, classes: readonly string[], size = 320) =>
  resolveConfig({ preset, model: { classes: [...classes], evalSize: [size, size] } })
    .model as Name extends DFinePresetName ? DFineConfig : ModelConfig;

/** The state as torch.save describes it; whole numbers have 64 bits there. */
export function torchState(file: TorchFile, state: State): Source {
  const tensors = [...state].map(([name, { shape, data }]): [string, Source] => {
    const isMask = name.endsWith("valid_mask");
    const source = isMask
      ? Uint8Array.from(data)
      : data instanceof Int32Array
        ? BigInt64Array.from(data, BigInt)
        : data;
    const storage = isMask ? "BoolStorage" : data instanceof Int32Array ? "LongStorage" : "FloatStorage";
    return [name, file.tensor({ storage, shape, data: source })];
  });
  return orderedDict(tensors);
}

/** A checkpoint of the official trainer. */
export const officialFile = (model: State, ema: State): Uint8Array =>
  torchFile(
    (file) =>
      new Map<Source, Source>([
        ["date", "2026-01-02T03:04:05"],
        ["last_epoch", 6],
        ["model", torchState(file, model)],
        [
          "ema",
          new Map<Source, Source>([
            ["module", torchState(file, ema)],
            ["updates", 700],
          ]),
        ],
        [
          "optimizer",
          new Map<Source, Source>([
            ["state", new Map<Source, Source>([[0, new Map([["step", 3]])]])],
            ["param_groups", [new Map([["lr", 1e-4]])]],
          ]),
        ],
      ]),
  );

/** The state under the names of Hugging Face's model, projections split. */
export function huggingFaceState(state: State): Map<string, SafetensorsSource> {
  const out = new Map<string, SafetensorsSource>();
  for (const [name, { shape, data }] of state) {
    const names = huggingFaceNames(name)!;
    const [rows = 1, ...rest] = shape;
    const size = data.length / names.length;
    for (const [part, key] of names.entries())
      out.set(
        key,
        tensorSource({
          shape: names.length === 1 ? shape : [rows / names.length, ...rest],
          data: data.subarray(part * size, (part + 1) * size),
        }),
      );
  }
  return out;
}

/** A file of ours. */
export const ownFile = (state: State, model: ModelConfig, preset: PresetName = "n"): Uint8Array =>
  writeModelFile(new Map([...state].map(([name, value]) => [name, tensorSource(value)])), { preset, model });

export const huggingFaceFile = (state: State): Uint8Array =>
  writeSafetensors(huggingFaceState(state), new Map([["format", "pt"]]));
