import { readNamed, type SafetensorsSource, writeSafetensors } from "@dfine/nn";
import { type Dtype, type Tensor, type TypedArray, withBackend } from "@dfine/tensor";
import { inTurn } from "../deviceQueue.ts";
import type { DFine } from "../dfine.ts";
import { ExportError } from "../exportError.ts";
import { buildDetector } from "../model/architectures.ts";
import { huggingFaceConfig, imageProcessorConfig, jsonText } from "./huggingFaceConfig.ts";
import { huggingFaceNames } from "./huggingFaceNames.ts";

/** Our element types as PyTorch has them. */
const SOURCES: Readonly<Record<Dtype, (data: TypedArray) => Pick<SafetensorsSource, "dtype" | "data">>> = {
  f32: (data) => ({ dtype: "F32", data }),
  i32: (data) => ({ dtype: "I64", data }),
  bool: (data) => ({ dtype: "BOOL", data: Uint8Array.from(data) }),
};

async function sources(state: ReadonlyMap<string, Tensor>): Promise<Map<string, SafetensorsSource>> {
  const values = await readNamed(state);
  return new Map(
    [...values].map(([name, { shape, data }]) => [name, { shape, ...SOURCES[state.get(name)!.dtype](data) }]),
  );
}

/** What files for PyTorch say of themselves. */
const PYTORCH = new Map([["format", "pt"]]);

/**
 * The weights as safetensors with the names and shapes of the official state dict, anchors for the detector's input size.
 * Tensors that have several names there are written under each.
 * Class names are not in it.
 */
export async function exportSafetensors({ model, backend, size }: DFine): Promise<Uint8Array> {
  return await inTurn(backend, async () => {
    // Anchors are of the size that a model was made for.
    const evalSize: [number, number] = [size[0], size[1]];
    using sized = withBackend(backend, () => buildDetector({ ...model.config, evalSize }));
    sized.loadStateDict(model.stateDict());
    const state = await sources(sized.stateDict());
    for (const [alias, name] of sized.aliases()) state.set(alias, state.get(name)!);
    return writeSafetensors(state, PYTORCH);
  });
}

/** The files of a folder from which Hugging Face's `transformers` loads a model and what prepares its images. */
export type HuggingFaceFiles = Readonly<
  Record<"model.safetensors", Uint8Array> & Record<"config.json" | "preprocessor_config.json", string>
>;

/**
 * The detector as `DFineForObjectDetection.from_pretrained(folder)` and `AutoImageProcessor.from_pretrained(folder)` load it.
 * @throws ExportError for parts that `transformers` does not have
 */
export async function exportHuggingFace({ model, backend, size }: DFine): Promise<HuggingFaceFiles> {
  const { config } = model;
  if (config.architecture !== "dfine")
    throw new ExportError("huggingface: only D-FINE is written for transformers; export another DETR as safetensors");
  const files = {
    "config.json": jsonText(huggingFaceConfig(config)),
    "preprocessor_config.json": jsonText(imageProcessorConfig(size)),
  };
  const official = await inTurn(backend, () => sources(model.stateDict()));
  const named = new Map([...official].flatMap(([name, source]) => parts(name, source)));
  return { "model.safetensors": writeSafetensors(named, PYTORCH), ...files };
}

/** A tensor under its names, the rows of a joined projection shared out among them. */
function parts(name: string, { dtype, shape, data }: SafetensorsSource): [string, SafetensorsSource][] {
  const names = huggingFaceNames(name);
  if (!names) throw new ExportError(`huggingface: transformers' D-FINE has no tensor for ${name}`);
  const length = data.length / names.length;
  const [rows = 1, ...rest] = shape;
  return names.map((translated, i) => [
    translated,
    names.length === 1
      ? { dtype, shape, data }
      : { dtype, shape: [rows / names.length, ...rest], data: data.subarray(i * length, (i + 1) * length) },
  ]);
}
