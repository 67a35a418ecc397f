import { type Dtype, type Expr, load, type Stage } from "@dfine/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { kernelOf, runTrial, type TrialOperand } from "../../../tensor/test/kernelTrial.ts";
import { webgpu } from "../index.ts";

const backend = await webgpu();
afterAll(() => backend.dispose());

const view = new DataView(new ArrayBuffer(4));
function wordOf(x: number): number {
  view.setFloat32(0, x);
  return view.getInt32(0);
}
function floatOf(word: number): number {
  view.setInt32(0, word);
  return view.getFloat32(0);
}

/** Results of a kernel for arguments given as 32-bit words, so that every NaN arrives as it is. */
async function applyToWords(f: (x: Expr) => Expr, words: readonly number[]): Promise<Float32Array> {
  const operand = (mode: TrialOperand["mode"], dtype: Dtype): TrialOperand => ({
    ...{ dtype, mode, indexed: false, strides: [1], offset: 0, length: words.length },
    data: words,
  });
  const stages: Stage[] = [
    { kind: "store", perRow: false, writes: [{ operand: 1, expr: f(load(0, "i32").bitcast("f32")) }] },
  ];
  const operands = [operand("read", "i32"), operand("write", "f32")];
  const kernel = kernelOf(["map"], operands, { stages });
  return (await runTrial(backend, { kernel, sizes: [words.length], operands, params: [] }))[1] as Float32Array;
}

/** Every float32 between two numbers of one sign, thinned to about `count`; and their negatives. */
function both(from: number, to: number, count: number): number[] {
  const [a, b] = [wordOf(from), wordOf(to)];
  const positive = Array.from({ length: count }, (_, i) => floatOf(Math.round(a + ((b - a) * i) / (count - 1))));
  return positive.flatMap((x) => [x, -x]);
}

/** erf in double precision: its series up to 3, beyond it 1 minus the tail's integral by Simpson's rule. */
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

describe("within a few units in the last place", () => {
  it.each([
    ["exp", (x: Expr) => x.exp(), Math.exp, both(1e-9, 87.3, 40_001), 3],
    ["log", (x: Expr) => x.log(), Math.log, both(2 ** -126, 3.4e38, 40_001).filter((x) => x > 0), 3],
    ["log near 1", (x: Expr) => x.log(), Math.log, both(0.5, 2, 40_001).filter((x) => x > 0), 3],
    ["tanh", (x: Expr) => x.tanh(), Math.tanh, both(1e-9, 20, 40_001), 4],
    ["sigmoid", (x: Expr) => x.sigmoid(), (x: number) => 1 / (1 + Math.exp(-x)), both(1e-9, 87, 40_001), 6],
    ["erf near 0", (x: Expr) => x.erf(), erf, both(1e-9, 0.875, 20_001), 3],
    ["sqrt", (x: Expr) => x.sqrt(), Math.sqrt, both(2 ** -126, 3.4e38, 20_001).filter((x) => x > 0), 3],
  ] as const)("%s", async (name, f, truth, xs, limit) => {
    const actual = await applyToWords(f, xs.map(wordOf));
    let [worst, where] = [0, 0];
    for (const [i, x] of xs.entries()) {
      const want = truth(x);
      const word = wordOf(Math.abs(Math.fround(want)));
      const error = Math.abs(actual[i]! - want) / (floatOf(word + 1) - floatOf(word));
      if (!(error <= worst)) [worst, where] = [error, x];
    }
    expect(worst, `${name}(${where})`).toBeLessThanOrEqual(limit);
  });

  it("erf is within 2e-7 everywhere", async () => {
    const xs = both(1e-6, 8, 20_001);
    const actual = await applyToWords((x) => x.erf(), xs.map(wordOf));
    expect(Math.max(...xs.map((x, i) => Math.abs(actual[i]! - erf(x))))).toBeLessThanOrEqual(2e-7);
  });
});

const nan = Number.NaN;
const WORDS = [
  0x7fc00000,
  0xffffffff | 0,
  0x7fc00001,
  ...[Infinity, -Infinity, 0, -0, 88.73, 1e30, -104, -1e30, 1].map(wordOf),
];

it.each([
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
  ["min with a number", (x: Expr) => x.min(0.5), [nan, nan, nan, 0.5, -Infinity, 0, 0, 0.5, 0.5, -104, undefined, 0.5]],
  [
    "max of two",
    (x: Expr) => x.mul(2).max(x),
    [nan, nan, nan, Infinity, -Infinity, 0, 0, undefined, undefined, -104, undefined, 2],
  ],
  ["isNaN", (x: Expr) => x.isNaN().cast("f32"), [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ["isFinite", (x: Expr) => x.isFinite().cast("f32"), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]],
  ["not less", (x: Expr) => x.lt(0).not().cast("f32"), [1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 0, 1]],
  [
    "to i32",
    (x: Expr) => x.cast("i32").cast("f32"),
    [0, 0, 0, 2 ** 31, -(2 ** 31), 0, 0, 88, 2 ** 31, -104, -(2 ** 31), 1],
  ],
] as const)("%s of special values", async (_name, f, expected) => {
  const actual = await applyToWords(f, WORDS);
  for (const [i, want] of expected.entries())
    if (want !== undefined && !(want === 0 && actual[i] === 0))
      expect(actual[i], `of ${floatOf(WORDS[i]!)}`).toBe(want);
});
