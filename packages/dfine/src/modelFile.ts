import { readSafetensors, type SafetensorsEntry, type SafetensorsSource, writeSafetensors } from "@dfine/nn";
import { type ModelConfig, modelSchema, PRESET_NAMES, type PresetName } from "./config/config.ts";

/** A file that holds no D-FINE weights this package can read. */
export class ModelFileError extends Error {
  override readonly name = "ModelFileError";
}

/** Weights with everything needed to build the model around them. */
export interface ModelFile {
  readonly preset: PresetName;
  readonly model: ModelConfig;
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
}

const FORMAT = "dfine-model";
const VERSION = "1";

/** Byte 8 of every safetensors file, an opening brace. */
const HEADER_START = 0x7b;

/** How a file of another kind begins, and what to say about it. */
const FOREIGN: readonly { readonly magic: readonly number[]; readonly advice: string }[] = [
  {
    magic: [0x50, 0x4b, 0x03, 0x04],
    advice: "is a PyTorch checkpoint (.pth), which cannot be read yet; use weights that `dfine train` wrote",
  },
  { magic: [0x08], advice: "looks like an ONNX file; use weights that `dfine train` wrote" },
];

/**
 * Opens weights written by `writeModelFile`. `file` names them in messages.
 * @throws ModelFileError, SafetensorsError
 */
export function readModelFile(bytes: Uint8Array, file = "weights"): ModelFile {
  const foreign = FOREIGN.find(({ magic }) => bytes[8] !== HEADER_START && magic.every((byte, i) => bytes[i] === byte));
  if (foreign) throw new ModelFileError(`${file}: ${foreign.advice}`);
  const { metadata, entries } = readSafetensors(bytes, file);
  const format = metadata.get("format");
  if (format !== FORMAT)
    throw new ModelFileError(
      `${file}: ${format === undefined ? "has no description of its model" : `holds ${format}`}, not ${FORMAT}; use weights/last.safetensors or best.safetensors of a run`,
    );
  const version = metadata.get("version");
  if (version !== VERSION)
    throw new ModelFileError(`${file}: version ${version} of the format is not known, only ${VERSION}; update dfine`);
  const preset = PRESET_NAMES.find((name) => name === metadata.get("preset"));
  const model = modelSchema.safeParse(parseJson(metadata.get("model")));
  if (!preset || !model.success)
    throw new ModelFileError(`${file}: its description of the model is damaged; write the file again`);
  return { preset, model: model.data, entries };
}

function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}

/** Weights and the model's description as one safetensors file. Metadata repeats what people look for: classes and size. */
export function writeModelFile(
  tensors: ReadonlyMap<string, SafetensorsSource>,
  description: { readonly preset: PresetName; readonly model: ModelConfig },
): Uint8Array {
  const { preset, model } = description;
  return writeSafetensors(
    tensors,
    new Map([
      ["format", FORMAT],
      ["version", VERSION],
      ["preset", preset],
      ["classes", JSON.stringify(model.classes)],
      ["size", model.evalSize.join("x")],
      ["model", JSON.stringify(model)],
    ]),
  );
}
