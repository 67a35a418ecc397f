/**
 * Procedural weights and denoising draws of a reference pack: every value is a hash of its name and position.
 * The rules are those of the pack's README; nothing here belongs to one particular pack.
 */

/** A state-dict entry as listed in a pack's models/*.json. */
export interface FillEntry {
  readonly name: string;
  readonly shape: readonly number[];
  /** PyTorch's name without the prefix: "float32", "int64", "bool". */
  readonly dtype: string;
}

export interface FillRules {
  /** Prepended to every name before hashing. */
  readonly salt: string;
  /** What the pack's README says of an entry. */
  readonly rule: (entry: FillEntry) => Fill | "keep";
}

/** Values offset + scale * u. */
export interface Fill {
  readonly offset: number;
  readonly scale: number;
}

/** In what D-FINE's packs differ. */
export interface DFineFill {
  /** Gains of backbone convolutions, other convolutions and linear weights. */
  readonly gains: readonly [backbone: number, convolution: number, linear: number];
  /** Training and optimiser packs lower the bias of the score heads. */
  readonly train: boolean;
}

/** Uniform numbers in [0, 1) as functions of the flat index, in the shape that the denoising code takes. */
export interface ProceduralDraws {
  labelMask(index: number): number;
  label(index: number): number;
  sign(index: number): number;
  magnitude(index: number): number;
}

const GOLDEN = 0x9e3779b9;
const KEPT = new Set(["num_batches_tracked", "anchors", "valid_mask", "num_points_scale", "up", "reg_scale"]);
const encoder = new TextEncoder();

/** 32-bit FNV-1a over UTF-8 bytes, as an unsigned integer. */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of encoder.encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Hashes a 32-bit state into [-1, 1), a multiple of 2^-23 and therefore exact in float32. */
function toUnit(state: number): number {
  let x = state;
  x ^= x >>> 16;
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  x ^= x >>> 16;
  return (x >>> 8) * 2 ** -23 - 1;
}

/** u(name, i) of the pack's README, in [-1, 1). `name` carries its salt already. */
export function unit(name: string, index: number): number {
  return toUnit((Math.imul(index, GOLDEN) + fnv1a(name)) | 0);
}

/** Values offset + scale * u of element 0…size-1, each operation rounded to float32. */
function fill(name: string, size: number, options: Fill): Float32Array {
  const out = new Float32Array(size);
  const offset = Math.fround(options.offset);
  const scale = Math.fround(options.scale);
  let state = fnv1a(name) | 0;
  for (let i = 0; i < size; i++) {
    out[i] = offset + Math.fround(scale * toUnit(state));
    state = (state + GOLDEN) | 0;
  }
  return out;
}

const lastPart = (name: string): string => name.slice(name.lastIndexOf(".") + 1);
const fanOf = (shape: readonly number[]): number => shape.slice(1).reduce((product, size) => product * size, 1);

/** D-FINE's packs; "keep" where the module's own value stands. */
const dfineRule =
  (rules: DFineFill) =>
  (entry: FillEntry): Fill | "keep" => {
    const { name, shape } = entry;
    const last = lastPart(name);
    if (KEPT.has(last) || !entry.dtype.startsWith("float")) return "keep";
    if (shape.length >= 2) {
      const fan = fanOf(shape);
      const [backbone, convolution, linear] = rules.gains;
      const gain = shape.length === 2 ? linear : name.startsWith("backbone.") ? backbone : convolution;
      return { offset: 0, scale: Math.sqrt((3 * gain) / fan) };
    }
    if (last === "running_var") return { offset: 1, scale: 0.3 };
    if (last === "running_mean") return { offset: 0, scale: 0.1 };
    if (last === "weight" || last === "scale") return { offset: 1, scale: 0.2 };
    if (rules.train && name.includes("score_head")) return { offset: -4, scale: 0.1 };
    if (name.endsWith("sampling_offsets.bias")) return { offset: 0, scale: 2 };
    return { offset: 0, scale: 0.1 };
  };

/** Rules of a pack of D-FINE. */
export const dfineFill = ({ salt, ...rules }: DFineFill & { readonly salt: string }): FillRules => ({
  salt,
  rule: dfineRule(rules),
});

const DETR_TABLE = /(?:tgt_embed\.weight|query_embed\.weight|label_enc\.weight|level_embed)$/;

/** Packs of other DETRs. */
function detrRule({ name, shape }: FillEntry): Fill {
  const last = lastPart(name);
  if (DETR_TABLE.test(name)) return { offset: 0, scale: Math.sqrt(3) };
  if (name.endsWith("refpoint_embed.weight")) return { offset: 0, scale: 2 };
  if (shape.length >= 2) return { offset: 0, scale: Math.sqrt(3 / fanOf(shape)) };
  if (last === "running_var") return { offset: 1, scale: 0.3 };
  if (last === "running_mean") return { offset: 0, scale: 0.1 };
  if (last === "weight") return { offset: 1, scale: 0.2 };
  if (name.includes("class_embed")) return { offset: -4, scale: 0.1 };
  if (name.endsWith("sampling_offsets.bias")) return { offset: 0, scale: 2 };
  return { offset: 0, scale: 0.1 };
}

/** Rules of a pack of other DETRs. */
export const detrFill = (salt: string): FillRules => ({ salt, rule: detrRule });

/** Procedural value of a state-dict entry, row-major, or "keep" where the module's own value stands. */
export function proceduralValues(entry: FillEntry, rules: FillRules): Float32Array | "keep" {
  const found = rules.rule(entry);
  if (found === "keep") return found;
  const size = entry.shape.reduce((product, length) => product * length, 1);
  return fill(rules.salt + entry.name, size, found);
}

/** Flat positions at which a pack samples the entry `name` of `size` elements. Sample names take no salt. */
export function sampleIndices(name: string, options: { count: number; size: number }): Int32Array {
  const { count, size } = options;
  return Int32Array.from({ length: count }, (_, j) => Math.floor(((unit(`${name}#sample`, j) + 1) / 2) * size));
}

/** Denoising draws of a pack; `suffix` is ".stepK" in the optimiser pack and empty otherwise. */
export function proceduralDraws(salt: string, suffix = ""): ProceduralDraws {
  const stream = (name: string) => {
    const seed = fnv1a(`${salt}dn.${name}${suffix}`);
    return (index: number) => (toUnit((Math.imul(index, GOLDEN) + seed) | 0) + 1) / 2;
  };
  return {
    labelMask: stream("label_mask"),
    label: stream("label"),
    sign: stream("sign"),
    magnitude: stream("magnitude"),
  };
}
