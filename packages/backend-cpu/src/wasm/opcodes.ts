/** Types on the operand stack, one letter each in signatures: i32 `i`, i64 `l`, f32 `f`, v128 `v`. */
export type ValueType = "i32" | "i64" | "f32" | "v128";

/** One instruction: its bytes, and what it pops and pushes (deepest operand first). */
export interface Instruction {
  readonly bytes: readonly number[];
  readonly takes: readonly ValueType[];
  readonly gives: readonly ValueType[];
}

const LETTERS: Readonly<Record<string, ValueType>> = { i: "i32", l: "i64", f: "f32", v: "v128" };
const types = (letters: string): ValueType[] => [...letters].map((letter) => LETTERS[letter]!);

const SIMD_PREFIX = 0xfd;
const coded = (bytes: readonly number[], takes: string, gives: string): Instruction => ({
  bytes,
  takes: types(takes),
  gives: types(gives),
});
const plain = (code: number, takes: string, gives: string): Instruction => coded([code], takes, gives);
/** SIMD sub-opcodes are LEB128; they stay below 2¹⁴. */
const simd = (code: number, takes: string, gives: string): Instruction =>
  coded(code < 0x80 ? [SIMD_PREFIX, code] : [SIMD_PREFIX, (code & 0x7f) | 0x80, code >> 7], takes, gives);

/** Instructions without immediates. */
export const OPS = {
  "i32.eqz": plain(0x45, "i", "i"),
  "i32.eq": plain(0x46, "ii", "i"),
  "i32.lt_s": plain(0x48, "ii", "i"),
  "i32.lt_u": plain(0x49, "ii", "i"),
  "i32.gt_s": plain(0x4a, "ii", "i"),
  "i32.gt_u": plain(0x4b, "ii", "i"),
  "i32.le_s": plain(0x4c, "ii", "i"),
  "i32.ge_s": plain(0x4e, "ii", "i"),
  "i32.ge_u": plain(0x4f, "ii", "i"),
  "i32.add": plain(0x6a, "ii", "i"),
  "i32.sub": plain(0x6b, "ii", "i"),
  "i32.mul": plain(0x6c, "ii", "i"),
  "i32.div_s": plain(0x6d, "ii", "i"),
  "i32.div_u": plain(0x6e, "ii", "i"),
  "i32.rem_s": plain(0x6f, "ii", "i"),
  "i32.rem_u": plain(0x70, "ii", "i"),
  "i32.and": plain(0x71, "ii", "i"),
  "i32.or": plain(0x72, "ii", "i"),
  "i32.xor": plain(0x73, "ii", "i"),
  "i32.shl": plain(0x74, "ii", "i"),
  "i32.shr_s": plain(0x75, "ii", "i"),
  "i32.shr_u": plain(0x76, "ii", "i"),
  "i32.trunc_sat_f32_s": coded([0xfc, 0x00], "f", "i"),

  "f32.eq": plain(0x5b, "ff", "i"),
  "f32.ne": plain(0x5c, "ff", "i"),
  "f32.gt": plain(0x5e, "ff", "i"),
  "f32.floor": plain(0x8e, "f", "f"),
  "f32.add": plain(0x92, "ff", "f"),
  "f32.sub": plain(0x93, "ff", "f"),
  "f32.mul": plain(0x94, "ff", "f"),
  "f32.convert_i32_s": plain(0xb2, "i", "f"),

  "memory.fill": coded([0xfc, 0x0b, 0x00], "iii", ""),

  "i32x4.splat": simd(0x11, "i", "v"),
  "f32x4.splat": simd(0x13, "f", "v"),

  "v128.and": simd(0x4e, "vv", "v"),
  "v128.andnot": simd(0x4f, "vv", "v"),
  "v128.or": simd(0x50, "vv", "v"),
  "v128.xor": simd(0x51, "vv", "v"),
  /** Bits of the first operand where the third has ones, of the second elsewhere. */
  "v128.bitselect": simd(0x52, "vvv", "v"),

  "i32x4.eq": simd(0x37, "vv", "v"),
  "i32x4.ne": simd(0x38, "vv", "v"),
  "i32x4.lt_s": simd(0x39, "vv", "v"),
  "i32x4.gt_s": simd(0x3b, "vv", "v"),
  "i32x4.shl": simd(0xab, "vi", "v"),
  "i32x4.shr_u": simd(0xad, "vi", "v"),
  "i32x4.add": simd(0xae, "vv", "v"),
  "i32x4.sub": simd(0xb1, "vv", "v"),
  "i32x4.mul": simd(0xb5, "vv", "v"),
  "i32x4.min_s": simd(0xb6, "vv", "v"),
  "i32x4.max_s": simd(0xb8, "vv", "v"),
  "i32x4.trunc_sat_f32x4_s": simd(0xf8, "v", "v"),

  "f32x4.eq": simd(0x41, "vv", "v"),
  "f32x4.ne": simd(0x42, "vv", "v"),
  "f32x4.lt": simd(0x43, "vv", "v"),
  "f32x4.gt": simd(0x44, "vv", "v"),
  "f32x4.floor": simd(0x68, "v", "v"),
  "f32x4.abs": simd(0xe0, "v", "v"),
  "f32x4.sqrt": simd(0xe3, "v", "v"),
  "f32x4.add": simd(0xe4, "vv", "v"),
  "f32x4.sub": simd(0xe5, "vv", "v"),
  "f32x4.mul": simd(0xe6, "vv", "v"),
  "f32x4.div": simd(0xe7, "vv", "v"),
  "f32x4.min": simd(0xe8, "vv", "v"),
  "f32x4.max": simd(0xe9, "vv", "v"),
  /** `b < a ? b : a`: one x86 instruction, but NaN in b is lost. */
  "f32x4.pmin": simd(0xea, "vv", "v"),
  /** `a < b ? b : a`: one x86 instruction, but NaN in b is lost. */
  "f32x4.pmax": simd(0xeb, "vv", "v"),
  "f32x4.convert_i32x4_s": simd(0xfa, "v", "v"),

  /** Relaxed SIMD: a · b + c, rounded once or twice as the machine does. */
  "f32x4.relaxed_madd": simd(0x105, "vvv", "v"),
} as const satisfies Record<string, Instruction>;

/** Loads and stores; the assembler appends alignment and a static offset. The address lies deepest on the stack. */
export const MEMORY_OPS = {
  "i32.load": plain(0x28, "i", "i"),
  "i64.load": plain(0x29, "i", "l"),
  "f32.load": plain(0x2a, "i", "f"),
  "i32.store": plain(0x36, "ii", ""),
  "i64.store": plain(0x37, "il", ""),
  "f32.store": plain(0x38, "if", ""),
  "v128.load": simd(0x00, "i", "v"),
  "v128.load32_splat": simd(0x09, "i", "v"),
  "v128.load32_zero": simd(0x5c, "i", "v"),
  "v128.store": simd(0x0b, "iv", ""),
} as const satisfies Record<string, Instruction>;

/** Loads and stores of one lane: static offset, then the lane. */
export const MEMORY_LANE_OPS = {
  "v128.load32_lane": simd(0x56, "iv", "v"),
  "v128.store32_lane": simd(0x5a, "iv", ""),
} as const satisfies Record<string, Instruction>;

/** Instructions with a lane immediate. */
export const LANE_OPS = {
  "i32x4.extract_lane": simd(0x1b, "v", "i"),
  "i32x4.replace_lane": simd(0x1c, "vi", "v"),
  "f32x4.extract_lane": simd(0x1f, "v", "f"),
} as const satisfies Record<string, Instruction>;

export type Op = keyof typeof OPS;
export type MemoryOp = keyof typeof MEMORY_OPS;
export type MemoryLaneOp = keyof typeof MEMORY_LANE_OPS;
export type LaneOp = keyof typeof LANE_OPS;

/** Instructions that the assembler prints itself, because they have immediates or steer control. */
export const RAW = {
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  globalGet: 0x23,
  i32Const: 0x41,
  f32Const: 0x43,
  v128Const: [SIMD_PREFIX, 0x0c],
  shuffle: [SIMD_PREFIX, 0x0d],
  voidBlock: 0x40,
} as const;

export const TYPE_BYTE: Readonly<Record<ValueType, number>> = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  v128: 0x7b,
};
