import { decodeFloat32, decodeInt32, type SafetensorsEntry } from "@dfine/nn";
import { type DFineConfig, tokenCount } from "../model/dfineConfig.ts";

type Entries = ReadonlyMap<string, SafetensorsEntry>;

/** Sides of square inputs that are tried, pixels. */
const SIDES = Array.from({ length: 64 }, (_, i) => 32 * (i + 1));

/** The square input that has this many tokens. */
export function sideOfTokens(model: DFineConfig, tokens: number): number | undefined {
  return SIDES.find((side) => tokenCount(model, [side, side]) === tokens);
}

/** A model as a file's tensors have it: their input size, sampling points and bins where they tell of other ones. */
export function dfineOfFile(model: DFineConfig, entries: Entries): DFineConfig {
  const tokens = entries.get("decoder.anchors")?.shape[1];
  const side = tokens === undefined ? undefined : sideOfTokens(model, tokens);
  const { up, regScale } = model.decoder;
  return {
    ...model,
    evalSize: side === undefined ? model.evalSize : [side, side],
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
