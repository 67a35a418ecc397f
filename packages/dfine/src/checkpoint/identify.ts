import { decodeFloat32, decodeInt32, type SafetensorsEntry } from "@dfine/nn";
import { type ModelConfig, PRESET_NAMES, type PresetName } from "../config/config.ts";
import { featureStrides } from "../config/derived.ts";
import { presetConfig } from "../config/presets.ts";
import { ModelFileError } from "./errors.ts";
import { inputSizeOf } from "./inputSize.ts";
import { architectureDifferences, type Difference, type Shapes } from "./signature.ts";

type Entries = ReadonlyMap<string, SafetensorsEntry>;

/** Differences looked for to tell which preset comes closest, and shown of it. */
const COMPARED = 1000;
const SHOWN = 5;

const sizes = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

const differenceText = ({ name, inFile, expected }: Difference): string =>
  `${name} (${inFile ? sizes(inFile) : "missing"} in the file, ${sizes(expected)} in the preset)`;

/** The preset that a file's tensors are of. @throws ModelFileError telling how it differs from the closest one */
export function presetOf(shapes: Shapes, file: string): PresetName {
  const configs = PRESET_NAMES.map((preset) => ({ preset, config: presetConfig(preset, "coco").model }));
  const exact = configs.find(({ config }) => architectureDifferences(shapes, config).length === 0);
  if (exact) return exact.preset;
  const [closest] = configs
    .map(({ preset, config }) => ({ preset, found: architectureDifferences(shapes, config, COMPARED) }))
    .sort((a, b) => a.found.length - b.found.length);
  const { preset, found } = closest!;
  const more = found.length > SHOWN ? `, and ${found.length - SHOWN} more` : "";
  throw new ModelFileError(
    `${file}: its ${shapes.size} tensors are of none of the presets ${PRESET_NAMES.join(", ")}; ` +
      `${preset} comes closest, but differs in ${found.slice(0, SHOWN).map(differenceText).join(", ")}${more}. ` +
      "Give weights of D-FINE in their training form, complete",
  );
}

/** How many classes the heads have. @throws ModelFileError where there is no head */
export function classCount(shapes: Shapes, file: string): number {
  const rows = shapes.get("decoder.enc_score_head.bias")?.shape[0];
  if (rows !== undefined && rows > 0) return rows;
  throw new ModelFileError(
    `${file}: its tensor decoder.enc_score_head.bias is ${rows === undefined ? "missing" : "empty"}, so the classes cannot be counted; give weights with their heads`,
  );
}

/** A preset's model as a file's tensors have it: their input size, sampling points and bins where they tell of other ones. */
export function modelOf(entries: Entries, facts: { preset: PresetName; classes: readonly string[] }): ModelConfig {
  const { model } = presetConfig(facts.preset, "coco");
  const anchors = entries.get("decoder.anchors");
  const { up, regScale } = model.decoder;
  return {
    ...model,
    classes: [...facts.classes],
    evalSize: [...((anchors && inputSizeOf(anchors, featureStrides(model.backbone))) ?? model.evalSize)],
    decoder: {
      ...model.decoder,
      up: constant(entries.get("decoder.up"), up),
      regScale: constant(entries.get("decoder.reg_scale"), regScale),
      points: points(entries.get("decoder.decoder.layers.0.cross_attn.num_points_scale"), model.decoder.points),
    },
  };
}

/** Averaging leaves constants off by their last bits, which is no other constant. */
const ROUNDING = 1e-4;

function constant(entry: SafetensorsEntry | undefined, usual: number): number {
  if (entry?.shape.join() !== "1") return usual;
  const value = Math.abs(number(entry));
  return !(value > 0) || Math.abs(value - usual) < ROUNDING * usual ? usual : value;
}

const isFloat = ({ dtype }: SafetensorsEntry): boolean => dtype.startsWith("F") || dtype === "BF16";

const number = (entry: SafetensorsEntry): number =>
  (isFloat(entry) ? decodeFloat32(entry) : decodeInt32(entry))[0] ?? Number.NaN;

/** Points per level from 1 / points of the level for every point. */
function points(entry: SafetensorsEntry | undefined, usual: readonly number[]): number[] {
  const scales = entry && isFloat(entry) ? decodeFloat32(entry) : new Float32Array();
  const found: number[] = [];
  for (let at = 0; at < scales.length && found.length < usual.length; ) {
    const count = Math.round(1 / scales[at]!);
    if (!(count > 0) || !scales.subarray(at, at + count).every((scale) => Math.abs(scale * count - 1) < ROUNDING))
      break;
    found.push(count);
    at += count;
  }
  const sum = found.reduce((all, count) => all + count, 0);
  return found.length === usual.length && sum === scales.length ? found : [...usual];
}
