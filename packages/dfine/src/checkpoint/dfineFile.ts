import { decodeFloat32, decodeInt32, type SafetensorsEntry } from "@dfine/nn";
import { backboneLevels, type DFineConfig } from "../model/dfineConfig.ts";
import { isFloat } from "../tensorFile.ts";
import { ModelFileError } from "./errors.ts";
import { inputSizeOf } from "./inputSize.ts";

/** What is known of a file besides its tensors. */
export interface FileFacts {
  /** Names it in messages. */
  readonly file: string;
  /** Input size [height, width], where the tensors do not tell it. */
  readonly size?: readonly [number, number] | undefined;
}

/**
 * A model as a file's tensors have it: their input size, sampling points and bins where they tell of other ones.
 * @throws ModelFileError where the input size is neither told nor given
 */
export function dfineOfFile(
  model: DFineConfig,
  entries: ReadonlyMap<string, SafetensorsEntry>,
  { file, size }: FileFacts,
): DFineConfig {
  const anchors = entries.get("decoder.anchors");
  const strides = backboneLevels(model).map(({ stride }) => stride);
  const evalSize = anchors ? (inputSizeOf(anchors, strides) ?? size) : (size ?? model.evalSize);
  if (!evalSize)
    throw new ModelFileError(
      `${file}: its ${anchors?.shape[1]} anchors are not those of an input size that could be told; give the size it was trained for: --size HEIGHTxWIDTH (size: [height, width])`,
    );
  const { up, regScale } = model.decoder;
  return {
    ...model,
    evalSize: [evalSize[0], evalSize[1]],
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
