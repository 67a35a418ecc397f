import type { Backend, Dtype } from "@dfine/tensor";
import { type Expr, load, type Stage } from "@dfine/tensor/kernel";
import { expect, it } from "vitest";
import { kernelOf, runTrial, type TrialOperand } from "./kernelTrial.ts";

const view = new DataView(new ArrayBuffer(4));
export function wordOf(x: number): number {
  view.setFloat32(0, x);
  return view.getInt32(0);
}
export function floatOf(word: number): number {
  view.setInt32(0, word);
  return view.getFloat32(0);
}

/** Results of a kernel for arguments given as 32-bit words, so that every NaN arrives as it is. */
export async function applyToWords(
  backend: Backend,
  f: (x: Expr) => Expr,
  words: readonly number[],
): Promise<Float32Array> {
  const operand = (mode: TrialOperand["mode"], dtype: Dtype): TrialOperand => ({
    ...{ dtype, mode, indexed: false, strides: [1], offset: 0, length: words.length },
    data: words,
  });
  const expr = f(load(0, "i32").bitcast("f32"));
  const stages: Stage[] = [{ kind: "store", perRow: false, writes: [{ operand: 1, expr }] }];
  const operands = [operand("read", "i32"), operand("write", "f32")];
  const kernel = kernelOf(["map"], operands, { stages });
  const results = await runTrial(backend, { kernel, sizes: [words.length], operands, params: [] });
  return results[1] as Float32Array;
}

/** Distance of neighbouring float32 numbers at x. */
function ulp(x: number): number {
  const word = wordOf(Math.abs(x));
  return floatOf(word + 1) - floatOf(word);
}
/** Every float32 between two numbers of one sign, thinned to about `count`. */
export function floats(from: number, to: number, count: number): number[] {
  const [a, b] = [wordOf(from), wordOf(to)];
  return Array.from({ length: count }, (_, i) => floatOf(Math.round(a + ((b - a) * i) / (count - 1))));
}
const both = (from: number, to: number, count: number): number[] => floats(from, to, count).flatMap((x) => [x, -x]);

/** erf in double precision: its series up to 3, then 1 minus the tail's integral by Simpson's rule, and 1 beyond 6. */
function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a <= 3) {
    let [term, sum] = [x, x];
    for (let n = 1; n < 80; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  const [n, end] = [2000, 8];
  const g = (t: number): number => Math.exp(-t * t);
  let sum = g(a) + g(end);
  for (let i = 1; i < n; i++) sum += g(a + ((end - a) * i) / n) * (i % 2 ? 4 : 2);
  return Math.sign(x) * (1 - ((2 / Math.sqrt(Math.PI)) * sum * (end - a)) / n / 3);
}

/** Smallest normal float32. */
export const TINY = 2 ** -126;
const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

const ACCURACY = {
  exp: [(x: Expr) => x.exp(), Math.exp, both(1e-9, 87.3, 60_001).concat(floats(87.3, 88.72283, 2001))],
  log: [(x: Expr) => x.log(), Math.log, floats(TINY, 3.4e38, 120_001).concat(floats(0.5, 2, 60_001))],
  tanh: [(x: Expr) => x.tanh(), Math.tanh, both(1e-9, 20, 60_001)],
  sigmoid: [(x: Expr) => x.sigmoid(), logistic, both(1e-9, 87, 60_001)],
  "erf near 0": [(x: Expr) => x.erf(), erf, both(1e-9, 0.875, 30_001)],
  sqrt: [(x: Expr) => x.sqrt(), Math.sqrt, floats(TINY, 3.4e38, 20_001)],
} as const;

const nan = Number.NaN;
const WORDS = [
  0x7fc00000,
  0xffffffff | 0,
  0x7fc00001,
  ...[Infinity, -Infinity, 0, -0, 88.73, 1e30, -104, -1e30, 1].map(wordOf),
];
/** Results for `WORDS`; undefined: whatever it is. */
const SPECIAL = [
  ["exp", (x: Expr) => x.exp(), [nan, nan, nan, Infinity, 0, 1, 1, Infinity, Infinity, 0, 0, undefined]],
  [
    "log",
    (x: Expr) => x.log(),
    [nan, nan, nan, Infinity, nan, -Infinity, -Infinity, undefined, undefined, nan, nan, 0],
  ],
  ["tanh", (x: Expr) => x.tanh(), [nan, nan, nan, 1, -1, 0, -0, 1, 1, -1, -1, undefined]],
  ["sigmoid", (x: Expr) => x.sigmoid(), [nan, nan, nan, 1, 0, 0.5, 0.5, 1, 1, 0, 0, undefined]],
  ["erf", (x: Expr) => x.erf(), [nan, nan, nan, 1, -1, 0, -0, 1, 1, -1, -1, undefined]],
  ["floor", (x: Expr) => x.floor(), [nan, nan, nan, Infinity, -Infinity, 0, -0, 88, undefined, -104, undefined, 1]],
  [
    "max with a number",
    (x: Expr) => x.max(0.5),
    [nan, nan, nan, Infinity, 0.5, 0.5, 0.5, undefined, undefined, 0.5, 0.5, 1],
  ],
  [
    "min with a number",
    (x: Expr) => x.min(0.5),
    [nan, nan, nan, 0.5, -Infinity, 0, -0, 0.5, 0.5, -104, undefined, 0.5],
  ],
  [
    "max of two",
    (x: Expr) => x.mul(2).max(x),
    [nan, nan, nan, Infinity, -Infinity, 0, -0, undefined, undefined, -104, undefined, 2],
  ],
  ["isNaN", (x: Expr) => x.isNaN().cast("f32"), [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ["isFinite", (x: Expr) => x.isFinite().cast("f32"), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]],
  ["not less", (x: Expr) => x.lt(0).not().cast("f32"), [1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 0, 1]],
  [
    "to i32",
    (x: Expr) => x.cast("i32").mul(1).cast("f32"),
    [0, 0, 0, 2 ** 31, -(2 ** 31), 0, 0, 88, 2 ** 31, -104, -(2 ** 31), 1],
  ],
] as const;

export interface FunctionLimits {
  /** Units in the last place. */
  readonly ulps: Readonly<Record<keyof typeof ACCURACY, number>>;
  /** Largest difference of erf, anywhere. */
  readonly erf: number;
  /** Whether 0 and −0 are told apart. */
  readonly signedZeros: boolean;
}

/** Tests of the functions of one number that a backend computes itself, against double precision. */
export function functionProperties(backend: Backend, { ulps, erf: erfLimit, signedZeros }: FunctionLimits): void {
  const apply = (f: (x: Expr) => Expr, xs: readonly number[]) => applyToWords(backend, f, xs.map(wordOf));

  it.each(Object.keys(ACCURACY) as (keyof typeof ACCURACY)[])("%s is within a few ulp", async (name) => {
    const [f, truth, xs] = ACCURACY[name];
    const actual = await apply(f, xs);
    let [worst, where] = [0, 0];
    for (const [i, x] of xs.entries()) {
      const want = truth(x);
      const error = Math.abs(actual[i]! - want) / ulp(Math.fround(want));
      if (!(error <= worst)) [worst, where] = [error, x];
    }
    expect(worst, `${name}(${where})`).toBeLessThanOrEqual(ulps[name]);
  });

  it(`erf is within ${erfLimit} everywhere`, async () => {
    const xs = both(1e-6, 8, 20_001);
    const actual = await apply((x) => x.erf(), xs);
    expect(Math.max(...xs.map((x, i) => Math.abs(actual[i]! - erf(x))))).toBeLessThanOrEqual(erfLimit);
  });

  it.each(SPECIAL)("%s of special values", async (_, f, expected) => {
    // Every value comes into every lane of four, and one more behind the last whole vector.
    for (let lane = 0; lane < 5; lane++) {
      const shifted = [...WORDS.slice(lane), ...WORDS.slice(0, lane), ...WORDS.slice(0, 1)];
      const actual = await applyToWords(backend, f, shifted);
      const wanted = [...expected.slice(lane), ...expected.slice(0, lane), ...expected.slice(0, 1)];
      for (const [i, want] of wanted.entries()) {
        const isEitherZero = !signedZeros && want === 0 && actual[i] === 0;
        if (want !== undefined && !isEitherZero) expect(actual[i], `of ${floatOf(shifted[i]!)}`).toBe(want);
      }
    }
  });
}
