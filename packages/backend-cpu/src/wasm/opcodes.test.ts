import { describe, expect, it } from "vitest";
import { Assembler } from "./assembler.ts";
import { type Instruction, OPS, type Op, type ValueType } from "./opcodes.ts";

const memory = new WebAssembly.Memory({ initial: 1, maximum: 16 });
const ints = new Int32Array(memory.buffer);
const floats = new Float32Array(memory.buffer);
const [A, B, C, OUT] = [64, 80, 96, 128];

/** Runs an instruction on vectors (or their first lanes) a, b and c, and gives the words it leaves. */
function run(
  name: Op,
  operands: { a: readonly number[]; b: readonly number[]; c: readonly number[]; float: boolean },
): Int32Array {
  const f = new Assembler({ relaxed: true, shared: false });
  const row: Instruction = OPS[name];
  const load = (type: ValueType, address: number): void => {
    if (type === "v128") f.i32(address).memory("v128.load");
    else if (type === "f32") f.i32(address).memory("f32.load");
    else f.i32(address).memory("i32.load");
  };
  if (row.gives.length > 0) f.i32(OUT);
  for (const [i, type] of row.takes.entries()) load(type, [A, B, C][i]!);
  f.op(name);
  const [result] = row.gives;
  if (result === "v128") f.memory("v128.store");
  else if (result === "f32") f.memory("f32.store");
  else if (result === "i32") f.memory("i32.store");
  const target = operands.float ? floats : ints;
  target.set(operands.a, A / 4);
  target.set(operands.b, B / 4);
  target.set(operands.c, C / 4);
  const module = new WebAssembly.Module(f.finish() as BufferSource);
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  (instance.exports.run as (a: number, b: number, c: number) => void)(0, 0, 0);
  return ints.slice(OUT / 4, OUT / 4 + 4);
}

type Binary = (a: number, b: number) => number;
const u = (x: number): number => x >>> 0;
const flag = (x: boolean): number => (x ? 1 : 0);

const COMPARE: Record<string, Binary> = {
  eq: (a, b) => flag(a === b),
  ne: (a, b) => flag(a !== b),
  lt: (a, b) => flag(a < b),
  gt: (a, b) => flag(a > b),
  le: (a, b) => flag(a <= b),
  lt_s: (a, b) => flag(a < b),
  gt_s: (a, b) => flag(a > b),
  le_s: (a, b) => flag(a <= b),
  ge_s: (a, b) => flag(a >= b),
  lt_u: (a, b) => flag(u(a) < u(b)),
  gt_u: (a, b) => flag(u(a) > u(b)),
  ge_u: (a, b) => flag(u(a) >= u(b)),
};
const FLOAT: Record<string, Binary> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  min: (a, b) => Math.min(a, b),
  max: (a, b) => Math.max(a, b),
  pmin: (a, b) => (Number.isNaN(b) ? a : Math.min(a, b)),
  pmax: (a, b) => (Number.isNaN(b) ? a : Math.max(a, b)),
  abs: Math.abs,
  sqrt: Math.sqrt,
  floor: Math.floor,
};
const INT: Record<string, Binary> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: Math.imul,
  div_s: (a, b) => a / b,
  div_u: (a, b) => u(a) / u(b),
  rem_s: (a, b) => a % b,
  rem_u: (a, b) => u(a) % u(b),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => a << b,
  shr_s: (a, b) => a >> b,
  shr_u: (a, b) => a >>> b,
  min_s: Math.min,
  max_s: Math.max,
  eqz: (a) => flag(a === 0),
};

const A_FLOATS = [1.5, -2.5, 0.75, -7];
const B_FLOATS = [-1.5, -2.5, 3.25, Number.NaN];
const A_INTS = [7, -2147483648, -9, 123456789];
const B_INTS = [7, 3, -4, 987654];

const named = (prefix: string, table: Record<string, Binary>): [Op, Binary][] =>
  Object.entries(table).flatMap(([suffix, f]): [Op, Binary][] =>
    `${prefix}.${suffix}` in OPS ? [[`${prefix}.${suffix}` as Op, f]] : [],
  );

describe("instructions do what their names say", () => {
  it.each([...named("f32x4", FLOAT), ...named("f32", FLOAT)])("%s", (name, f) => {
    const out = new Float32Array(run(name, { a: A_FLOATS, b: B_FLOATS, c: [], float: true }).buffer);
    for (let i = 0; i < (name.startsWith("f32x4") ? 4 : 1); i++)
      expect(out[i]).toBe(Math.fround(f(A_FLOATS[i]!, B_FLOATS[i]!)));
  });
  it.each([...named("f32x4", COMPARE), ...named("f32", COMPARE)])("%s", (name, f) => {
    const out = run(name, { a: A_FLOATS, b: B_FLOATS, c: [], float: true });
    const lanes = name.startsWith("f32x4") ? 4 : 1;
    for (let i = 0; i < lanes; i++) expect(Math.abs(out[i]!)).toBe(f(A_FLOATS[i]!, B_FLOATS[i]!));
  });
  it.each([...named("i32x4", { ...INT, ...COMPARE }), ...named("i32", { ...INT, ...COMPARE })])("%s", (name, f) => {
    const out = run(name, { a: A_INTS, b: B_INTS, c: [], float: false });
    const wide = name.startsWith("i32x4");
    const mask = wide && name.slice(6) in COMPARE ? -1 : 1;
    // A vector is shifted by one count for all lanes.
    const shift = name.includes(".sh");
    for (let i = 0; i < (wide ? 4 : 1); i++) expect(out[i]).toBe((mask * f(A_INTS[i]!, B_INTS[shift ? 0 : i]!)) | 0);
  });
  it.each([
    ["v128.and", (a, b) => a & b],
    ["v128.or", (a, b) => a | b],
    ["v128.xor", (a, b) => a ^ b],
    ["v128.andnot", (a, b) => a & ~b],
  ] as [Op, Binary][])("%s", (name, f) => {
    const out = run(name, { a: A_INTS, b: B_INTS, c: [], float: false });
    expect([...out]).toEqual(A_INTS.map((a, i) => f(a, B_INTS[i]!)));
  });
  it.each([
    ["v128.bitselect", false, A_INTS.map((a, i) => (a & 0xff00) | (B_INTS[i]! & ~0xff00))],
    ["i32x4.splat", false, [7, 7, 7, 7]],
    ["i32x4.trunc_sat_f32x4_s", true, [1, -2, 0, -7]],
    ["i32.trunc_sat_f32_s", true, [1]],
    ["v128.any_true", false, [1]],
  ] as [Op, boolean, number[]][])("%s", (name, float, expected) => {
    const out = run(name, { a: float ? A_FLOATS : A_INTS, b: B_INTS, c: [0xff00, 0xff00, 0xff00, 0xff00], float });
    expect([...out.slice(0, expected.length)]).toEqual(expected);
  });
  it.each([
    ["f32x4.convert_i32x4_s", A_INTS.map(Math.fround)],
    ["f32.convert_i32_s", [7]],
  ] as [Op, number[]][])("%s", (name, expected) => {
    const out = new Float32Array(run(name, { a: A_INTS, b: [], c: [], float: false }).buffer);
    expect([...out.slice(0, expected.length)]).toEqual(expected);
  });
  it("f32x4.relaxed_madd", () => {
    const [b, c] = [
      [2, 4, -8, 0.5],
      [1, 1, 3, -1],
    ];
    const out = new Float32Array(run("f32x4.relaxed_madd", { a: A_FLOATS, b, c, float: true }).buffer);
    expect([...out]).toEqual(A_FLOATS.map((a, i) => a * b[i]! + c[i]!));
  });
  it("memory.fill", () => {
    const f = new Assembler({ relaxed: false, shared: false });
    f.i32(1024).i32(7).i32(12).op("memory.fill");
    const instance = new WebAssembly.Instance(new WebAssembly.Module(f.finish() as BufferSource), { env: { memory } });
    (instance.exports.run as (a: number, b: number, c: number) => void)(0, 0, 0);
    expect([...ints.slice(256, 260)]).toEqual([0x07070707, 0x07070707, 0x07070707, 0]);
  });
});
