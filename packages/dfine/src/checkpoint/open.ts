import type { SafetensorsEntry } from "@dfine/nn";
import { checkOptions, flag, listOf, type OptionRules, text } from "@dfine/tensor";
import { COCO_CLASSES, COCO_NAMES_BY_ID } from "../config/cocoClasses.ts";
import type { ModelConfig } from "../config/config.ts";
import { texts } from "../optionRules.ts";
import { readSealed } from "../sealedFile.ts";
import { anonymousNames } from "./classNames.ts";
import { ModelFileError } from "./errors.ts";
import { foreignAdvice } from "./foreign.ts";
import { fromHuggingFace, huggingFaceClassNames, huggingFaceSize } from "./huggingFace.ts";
import { isHuggingFaceName } from "./huggingFaceNames.ts";
import { classCount, descriptionProblem, modelOf, presetOf } from "./identify.ts";
import { isModelFile, type ModelDescription, readModelFile } from "./modelFile.ts";
import { missingSet, readPth, type WeightsFile } from "./pth.ts";
import { unwrapped } from "./wrappers.ts";

/** How weights are stored: our own file, a checkpoint of torch.save, Hugging Face's names, or official names in safetensors. */
export type CheckpointFormat = "dfine" | "pth" | "huggingface" | "safetensors";

/** Where class names come from; "order": there are none, they are counted. */
export type ClassNameSource = "file" | "config" | "given" | "coco" | "order";

/** How a file of weights is read. */
export interface CheckpointOptions {
  /** Names the file in messages. */
  readonly file?: string | undefined;
  /** Averaged weights (true) or those before averaging (false); by default the averaged ones where there are any. */
  readonly ema?: boolean | undefined;
  /** Names of the classes for a file that has none. */
  readonly classNames?: readonly string[] | undefined;
  /** Input size [height, width] of a file whose anchors do not tell it. */
  readonly size?: readonly [number, number] | undefined;
  /** Text of the config.json beside Hugging Face's weights, which has the class names. */
  readonly configJson?: string | undefined;
  /** Text of the preprocessor_config.json beside them, which has the input size. */
  readonly processorJson?: string | undefined;
}

export const CHECKPOINT_OPTIONS: OptionRules<CheckpointOptions> = {
  ...{ file: text, ema: flag, classNames: texts, size: listOf(2, 1), configJson: text, processorJson: text },
};

/** Weights of any format under their official names, and the model that they are of. */
export interface Checkpoint extends WeightsFile, ModelDescription {
  readonly file: string;
  readonly format: CheckpointFormat;
  readonly classNamesFrom: ClassNameSource;
}

/** What is in a file, before it is judged. */
export interface RawCheckpoint extends WeightsFile {
  readonly file: string;
  readonly format: CheckpointFormat;
  /** Of our own files. */
  readonly described?: ModelDescription;
}

/** Byte 8 of every safetensors file, an opening brace. */
const SAFETENSORS = { at: 8, byte: 0x7b };
const ZIP = [0x50, 0x4b, 0x03, 0x04];

/**
 * Opens weights of any format as far as their tensors. Nothing is copied and nothing of the file is executed.
 * @throws ModelFileError, SafetensorsError
 */
export function readCheckpoint(bytes: Uint8Array, options: CheckpointOptions = {}): RawCheckpoint {
  const { file = "weights", ema } = options;
  if (ZIP.every((byte, i) => bytes[i] === byte)) {
    const read = readPth(bytes, { file, ema });
    return { ...read, file, format: "pth", entries: withOfficialNames(unwrapped(read.entries), file) };
  }
  const isSafetensors = bytes[SAFETENSORS.at] === SAFETENSORS.byte;
  const advice = isSafetensors ? undefined : foreignAdvice(bytes);
  if (advice) throw new ModelFileError(`${file}: ${advice}`);
  if (!isSafetensors && bytes.length > 0)
    throw new ModelFileError(`${file}: is neither a .pth nor a safetensors file; it may be damaged, fetch it again`);
  const safetensors = readSealed(bytes, file);
  if (ema !== undefined) throw new ModelFileError(`${file}: ${missingSet(ema ? "ema" : "model", ["only"])}`);
  const { entries } = safetensors;
  const single = { file, chosen: "only", sets: ["only"] } as const;
  if (isModelFile(safetensors))
    return { ...single, format: "dfine", entries, described: readModelFile(safetensors, file) };
  const model = unwrapped(entries);
  return {
    ...single,
    format: namingOf(model) ? "huggingface" : "safetensors",
    entries: withOfficialNames(model, file),
  };
}

/** How Hugging Face calls the tensors of each architecture. */
const NAMINGS: Record<
  ModelConfig["architecture"],
  { readonly isForeign: (name: string) => boolean; readonly toOfficial: typeof fromHuggingFace }
> = {
  dfine: { isForeign: isHuggingFaceName, toOfficial: fromHuggingFace },
  // Their files are read under their official names alone.
  detr: { isForeign: () => false, toOfficial: (entries) => new Map(entries) },
};

const namingOf = (entries: ReadonlyMap<string, unknown>) =>
  Object.values(NAMINGS).find(({ isForeign }) => [...entries.keys()].some(isForeign));

function withOfficialNames(
  entries: ReadonlyMap<string, SafetensorsEntry>,
  file: string,
): ReadonlyMap<string, SafetensorsEntry> {
  return namingOf(entries)?.toOfficial(entries, file) ?? entries;
}

/**
 * Opens weights of any format: a .pth of the official trainer, safetensors with official or Hugging Face's names, or our
 * own. Preset, classes and input size are those of the tensors.
 * @throws ModelFileError, SafetensorsError, ArgumentError for options
 */
export function openCheckpoint(bytes: Uint8Array, options: CheckpointOptions = {}): Checkpoint {
  checkOptions("openCheckpoint", options, CHECKPOINT_OPTIONS);
  return identifyCheckpoint(readCheckpoint(bytes, options), options);
}

/** Finds out which model the tensors are of. @throws ModelFileError */
export function identifyCheckpoint(raw: RawCheckpoint, options: CheckpointOptions = {}): Checkpoint {
  const { described, ...read } = raw;
  const { entries, file } = read;
  if (described) {
    const problem = descriptionProblem(entries, described.model);
    if (problem !== undefined)
      throw new ModelFileError(
        `${file}: its tensors are not of the model that it describes: ${problem}; write the file again`,
      );
    return { ...read, ...described, classNamesFrom: "file" };
  }
  const preset = presetOf(entries, file);
  const names = classNames(classCount(entries, { preset, file }), { ...options, file });
  const size = options.size ?? huggingFaceSize(options.processorJson);
  const model = modelOf(entries, { preset, classes: names.list, file, size });
  return { ...read, preset, model, classNamesFrom: names.from };
}

function classNames(
  count: number,
  { classNames: given, configJson, file }: CheckpointOptions,
): { list: readonly string[]; from: ClassNameSource } {
  if (given) {
    if (given.length !== count)
      throw new ModelFileError(
        `${file}: has ${count} classes, but ${given.length} names were given; give one for each`,
      );
    return { list: given, from: "given" };
  }
  const configured = configJson === undefined ? undefined : huggingFaceClassNames(configJson, count);
  if (configured) return { list: configured, from: "config" };
  const coco = [COCO_CLASSES, COCO_NAMES_BY_ID].find(({ length }) => length === count);
  if (coco) return { list: coco, from: "coco" };
  return { list: anonymousNames(count), from: "order" };
}
