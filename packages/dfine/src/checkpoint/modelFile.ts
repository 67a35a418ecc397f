import type { SafetensorsFile, SafetensorsSource } from "@dfine/nn";
import { type ModelConfig, modelSchema, PRESET_NAMES, type PresetName } from "../config/config.ts";
import { parseJson } from "../parseJson.ts";
import { writeSealed } from "../sealedFile.ts";
import { ModelFileError } from "./errors.ts";

/** What a file of ours says about its weights. */
export interface ModelDescription {
  readonly preset: PresetName;
  readonly model: ModelConfig;
  /** Score from which on detections count: the one of the best F1 in an evaluation of these weights. */
  readonly threshold?: number | undefined;
}

const FORMAT = "dfine-model";
const VERSION = "1";
/** What the formats of all our files begin with. */
const OURS = "dfine-";

export const isModelFile = ({ metadata }: SafetensorsFile): boolean =>
  metadata.get("format")?.startsWith(OURS) === true;

/** The description in a file that `writeModelFile` wrote. `file` names it in messages. @throws ModelFileError */
export function readModelFile({ metadata }: SafetensorsFile, file: string): ModelDescription {
  const format = metadata.get("format");
  if (format !== FORMAT)
    throw new ModelFileError(
      `${file}: holds ${format}, not ${FORMAT}; give last.safetensors or best.safetensors beside it, which a run has after its first epoch or when it is stopped; dfine train --resume goes on with the run itself`,
    );
  const version = metadata.get("version");
  if (version !== VERSION)
    throw new ModelFileError(`${file}: version ${version} of the format is not known, only ${VERSION}; update dfine`);
  const preset = PRESET_NAMES.find((name) => name === metadata.get("preset"));
  const model = modelSchema.safeParse(parseJson(metadata.get("model") ?? ""));
  const threshold = metadata.has("threshold") ? Number(metadata.get("threshold") || Number.NaN) : undefined;
  if (!preset || !model.success || (threshold !== undefined && !(threshold >= 0 && threshold <= 1)))
    throw new ModelFileError(`${file}: its description of the model is damaged; write the file again`);
  return { preset, model: model.data, ...(threshold === undefined ? {} : { threshold }) };
}

/** Weights and the model's description as one safetensors file with a checksum. Metadata repeats what people look for: classes and size. */
export function writeModelFile(
  tensors: ReadonlyMap<string, SafetensorsSource>,
  description: ModelDescription,
): Uint8Array {
  const { preset, model, threshold } = description;
  return writeSealed(
    tensors,
    new Map([
      ["format", FORMAT],
      ["version", VERSION],
      ["preset", preset],
      ["classes", JSON.stringify(model.classes)],
      ["size", model.evalSize.join("x")],
      ["model", JSON.stringify(model)],
      ...(threshold === undefined ? [] : [["threshold", String(threshold)] as const]),
    ]),
  );
}
