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
type Codes<Name extends string> = Readonly<Record<Name, number>>;
/** Instructions of one signature by their codes. */
const signed =
  (bytesOf: (code: number) => number[]) =>
  <Name extends string>(takes: string, gives: string, codes: Codes<Name>) =>
    Object.fromEntries(
      Object.entries<number>(codes).map(([name, code]) => [name, coded(bytesOf(code), takes, gives)]),
    ) as Record<Name, Instruction>;
const plain = signed((code) => [code]);
/** SIMD sub-opcodes are LEB128; they stay below 2¹⁴. */
const simd = signed((code) => (code < 0x80 ? [SIMD_PREFIX, code] : [SIMD_PREFIX, (code & 0x7f) | 0x80, code >> 7]));

/**
 * Instructions without immediates. `v128.bitselect` takes bits of its first operand where the third has ones, of the second
 * elsewhere. `f32x4.pmin` (`b < a ? b : a`) and `pmax` (`a < b ? b : a`) are one x86 instruction each, but lose a NaN in b.
 * `f32x4.relaxed_madd` is a · b + c, rounded once or twice as the machine does.
 */
export const OPS = {
  ...plain("i", "i", { "i32.eqz": 0x45 }),
  ...plain("ii", "i", { "i32.eq": 0x46, "i32.lt_s": 0x48, "i32.lt_u": 0x49, "i32.gt_s": 0x4a, "i32.gt_u": 0x4b }),
  ...plain("ii", "i", { "i32.le_s": 0x4c, "i32.ge_s": 0x4e, "i32.ge_u": 0x4f, "i32.add": 0x6a, "i32.sub": 0x6b }),
  ...plain("ii", "i", { "i32.mul": 0x6c, "i32.div_s": 0x6d, "i32.div_u": 0x6e, "i32.rem_s": 0x6f }),
  ...plain("ii", "i", { "i32.rem_u": 0x70, "i32.and": 0x71, "i32.or": 0x72, "i32.xor": 0x73, "i32.shl": 0x74 }),
  ...plain("ii", "i", { "i32.shr_s": 0x75, "i32.shr_u": 0x76 }),
  "i32.trunc_sat_f32_s": coded([0xfc, 0x00], "f", "i"),
  ...plain("ff", "i", { "f32.eq": 0x5b, "f32.ne": 0x5c, "f32.gt": 0x5e }),
  ...plain("f", "f", { "f32.floor": 0x8e }),
  ...plain("ff", "f", { "f32.add": 0x92, "f32.sub": 0x93, "f32.mul": 0x94 }),
  ...plain("i", "f", { "f32.convert_i32_s": 0xb2 }),
  "memory.fill": coded([0xfc, 0x0b, 0x00], "iii", ""),
  ...simd("i", "v", { "i32x4.splat": 0x11 }),
  ...simd("f", "v", { "f32x4.splat": 0x13 }),
  ...simd("v", "i", { "v128.any_true": 0x53 }),
  ...simd("vv", "v", { "v128.and": 0x4e, "v128.andnot": 0x4f, "v128.or": 0x50, "v128.xor": 0x51, "i32x4.eq": 0x37 }),
  ...simd("vv", "v", { "i32x4.ne": 0x38, "i32x4.lt_s": 0x39, "i32x4.gt_s": 0x3b, "i32x4.add": 0xae }),
  ...simd("vv", "v", { "i32x4.sub": 0xb1, "i32x4.mul": 0xb5, "i32x4.min_s": 0xb6, "i32x4.max_s": 0xb8 }),
  ...simd("vv", "v", { "f32x4.eq": 0x41, "f32x4.ne": 0x42, "f32x4.lt": 0x43, "f32x4.gt": 0x44, "f32x4.le": 0x45 }),
  ...simd("vv", "v", { "f32x4.add": 0xe4, "f32x4.sub": 0xe5, "f32x4.mul": 0xe6, "f32x4.div": 0xe7, "f32x4.min": 0xe8 }),
  ...simd("vv", "v", { "f32x4.max": 0xe9, "f32x4.pmin": 0xea, "f32x4.pmax": 0xeb }),
  ...simd("vvv", "v", { "v128.bitselect": 0x52, "f32x4.relaxed_madd": 0x105 }),
  ...simd("vi", "v", { "i32x4.shl": 0xab, "i32x4.shr_u": 0xad }),
  ...simd("v", "v", { "i32x4.trunc_sat_f32x4_s": 0xf8, "f32x4.floor": 0x68, "f32x4.abs": 0xe0, "f32x4.sqrt": 0xe3 }),
  ...simd("v", "v", { "f32x4.convert_i32x4_s": 0xfa }),
};

/** Loads and stores; the assembler appends alignment and a static offset. The address lies deepest on the stack. */
export const MEMORY_OPS = {
  ...plain("i", "i", { "i32.load": 0x28 }),
  ...plain("i", "l", { "i64.load": 0x29 }),
  ...plain("i", "f", { "f32.load": 0x2a }),
  ...plain("ii", "", { "i32.store": 0x36 }),
  ...plain("il", "", { "i64.store": 0x37 }),
  ...plain("if", "", { "f32.store": 0x38 }),
  ...simd("i", "v", {
    "v128.load": 0x00,
    "v128.load32_splat": 0x09,
    "v128.load64_splat": 0x0a,
    "v128.load32_zero": 0x5c,
  }),
  ...simd("iv", "", { "v128.store": 0x0b }),
};

/** Loads and stores of one lane: static offset, then the lane. */
export const MEMORY_LANE_OPS = {
  ...simd("iv", "v", { "v128.load32_lane": 0x56 }),
  ...simd("iv", "", { "v128.store32_lane": 0x5a }),
};

/** Instructions with a lane immediate. */
export const LANE_OPS = {
  ...simd("v", "i", { "i32x4.extract_lane": 0x1b }),
  ...simd("vi", "v", { "i32x4.replace_lane": 0x1c }),
  ...simd("v", "f", { "f32x4.extract_lane": 0x1f }),
};

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
