import type { Backend } from "../backend.ts";
import { axisIndex, constant, type Expr, param } from "../kernel/expr.ts";
import { mapProgram, type Program } from "../kernel/program.ts";
import { anyNumber, list, sizesFrom, thing } from "../options.ts";
import { currentBackend } from "../runtime.ts";
import { type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { defineCall } from "./defineCall.ts";
import { checkNumber } from "./inputs.ts";
import { launchInto } from "./result.ts";

/** Two 32-bit words that name a stream of random numbers. */
export type RandomKey = readonly [number, number];

const GOLDEN = 0x9e3779b9 | 0;
const MIX_1 = 0x85ebca6b | 0;
const MIX_2 = 0xc2b2ae35 | 0;

/** 32 random bits, as a signed integer, of element `index` of a stream: murmur3's finaliser after each key word. */
export function randomBits([k0, k1]: RandomKey, index: number): number {
  let x = mix((Math.imul(index, GOLDEN) + k0) | 0);
  x = mix((x ^ k1) + GOLDEN);
  return x;
}

function mix(start: number): number {
  let x = start;
  x = Math.imul(x ^ (x >>> 16), MIX_1);
  x = Math.imul(x ^ (x >>> 13), MIX_2);
  return x ^ (x >>> 16);
}

const mixExpr = (x: Expr): Expr => {
  const a = x.xor(x.shr(16)).mul(MIX_1);
  const b = a.xor(a.shr(13)).mul(MIX_2);
  return b.xor(b.shr(16));
};
const bits = mixExpr(
  mixExpr(axisIndex(0).mul(GOLDEN).add(param(0, "i32")))
    .xor(param(1, "i32"))
    .add(constant(GOLDEN, "i32")),
);
const bitsProgram = mapProgram("randomBits", { inputs: [], params: ["i32", "i32"], outputs: [bits] });
const uniformProgram = mapProgram("uniform", {
  inputs: [],
  params: ["i32", "i32"],
  outputs: [
    bits
      .shr(8)
      .cast("f32")
      .mul(2 ** -24),
  ],
});

const stream = (op: string, program: Program) =>
  defineCall(
    op,
    { shape: sizesFrom(0), key: list(anyNumber), "backend?": thing },
    (shape: Shape, key: RandomKey, backend: Backend = currentBackend()): Tensor => {
      for (const word of [key[0], key[1]]) checkNumber(op, word, { name: "a word of the key", dtype: "i32" });
      return launchInto(program, { backend, kept: [sizeOf(shape)], numbers: key })[0]!.reshape(shape);
    },
  );

/** Uniform numbers in [0, 1) with 24 bits, the same on every backend and on the host (`uniformAt`). */
export const uniform = stream("uniform", uniformProgram);
/** Random bits as i32, the same on every backend. */
export const bitsTensor = stream("bitsTensor", bitsProgram);

/** Element `index` of a uniform stream. */
export const uniformAt = (key: RandomKey, index: number): number => (randomBits(key, index) >>> 8) * 2 ** -24;
