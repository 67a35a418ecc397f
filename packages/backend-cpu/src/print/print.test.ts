import {
  axisIndex,
  constant,
  type Dtype,
  load,
  loadAt,
  param,
  referenceBackend,
  type Stage,
  type TypedArray,
} from "@dfine/tensor";
import { assertClose, assertSame } from "@dfine/tensor/testing";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import {
  fill,
  kernelOf,
  type LayoutChoice,
  layOut,
  layoutChoice,
  PROGRAMS,
  runTrial,
  type Trial,
  type TrialOperand,
} from "../../test/kernelTrial.ts";
import { cpu } from "../backend.ts";

const exact = referenceBackend({ floatBits: 64 });
const plain = cpu({ threads: 1, relaxedSimd: false });
const fused = cpu({ threads: 1 });
const three = cpu({ threads: 3 });
afterAll(() => {
  for (const backend of [plain, fused, three]) backend.dispose();
});

const SIZES = [0, 1, 2, 3, 4, 5, 17, 65];
const axis = fc.record({ kind: fc.constantFrom("map" as const, "reduce" as const), size: fc.constantFrom(...SIZES) });
const axes = fc
  .array(axis, { maxLength: 4 })
  .map((list) => [...list].sort((a, b) => a.kind.localeCompare(b.kind)))
  .filter((list) => list.reduce((n, { size }) => n * size, 1) <= 6000);

/** Whole buffers are compared: elements, the gaps between them, and the margins. */
async function compare({ trial, folded }: { trial: Trial; folded: number }): Promise<void> {
  const expected = await runTrial(exact, trial);
  const results: TypedArray[][] = [];
  for (const backend of [plain, fused, three]) {
    const actual = await runTrial(backend, trial);
    results.push(actual);
    for (const [k, array] of expected.entries())
      assertClose(`${backend.threads} threads, operand ${k}`, actual[k]!, array, {
        // Sums of products of values up to 3, and rounding of what is made of them.
        tolerance: (i) => 3e-7 * 9 * folded + 1e-5 * (1 + Math.abs(array[i]!)),
      });
  }
  for (const [k, array] of results[1]!.entries()) assertSame(`1 and 3 threads, operand ${k}`, results[2]![k]!, array);
}

describe("random loop nests agree with the reference in float64", () => {
  it.each(Object.entries(PROGRAMS))("%s", async (_, stages) => {
    // A second stage without a reduced axis is a case of its own, below.
    const nests = stages.length === 1 ? axes : axes.filter((list) => list.some(({ kind }) => kind === "reduce"));
    await fc.assert(
      fc.asyncProperty(nests, fc.array(layoutChoice, { minLength: 4, maxLength: 4 }), async (list, choices) => {
        const sizes = list.map(({ size }) => size);
        const kinds = list.map(({ kind }) => kind);
        const all = list.map((__, i) => i);
        const kept = all.filter((i) => kinds[i] === "map");
        const layouts: { mode: "read" | "write"; axes: number[]; choice: LayoutChoice }[] = choices.map((choice, k) =>
          k < 2
            ? { mode: "read", axes: all.filter((i) => !choice.still[i]), choice }
            : { mode: "write", axes: k === 2 ? all : kept, choice },
        );
        const operands = layouts.map(({ mode, axes: moving, choice }) =>
          layOut({ dtype: "f32", mode, sizes, axes: moving }, choice),
        );
        const folded = list.reduce((n, { kind, size }) => (kind === "reduce" ? n * size : n), 1);
        await compare({
          trial: { kernel: kernelOf(kinds, operands, { stages }), sizes, operands, params: [] },
          folded,
        });
      }),
      { numRuns: 150 },
    );
  });
});

const dense = (dtype: Dtype, length: number, mode: TrialOperand["mode"] = "read"): TrialOperand =>
  layOut(
    { dtype, mode, sizes: [length], axes: [0] },
    { order: 0, gaps: [0], flips: [false], still: [false], seed: length + 7 },
  );
const indexed = (dtype: Dtype, length: number, mode: TrialOperand["mode"] = "read"): TrialOperand => ({
  ...dense(dtype, length, mode),
  strides: [0],
  indexed: true,
  length,
});

describe.each(SIZES)("%i elements", (n) => {
  const check = (stages: readonly Stage[], operands: readonly TrialOperand[], params: readonly number[] = []) =>
    compare({
      trial: {
        kernel: kernelOf(["map"], operands, { stages, params: params.map(() => "i32" as const) }),
        sizes: [n],
        operands,
        params,
      },
      folded: 1,
    });
  const store = (...writes: [number, Parameters<typeof loadAt>[1]][]): Stage => ({
    kind: "store",
    perRow: false,
    writes: writes.map(([operand, expr]) => ({ operand, expr })),
  });

  it("integers: arithmetic wraps, division truncates and never traps, shifts count modulo 32", async () => {
    const [a, b] = [load(0, "i32"), load(1, "i32")];
    const big = a.mul(0x7654321);
    const few = b.rem(3);
    for (const e of [
      big.mul(big),
      big.add(big).sub(b),
      big.div(b.rem(7)),
      big.rem(few),
      big.div(constant(10, "i32")),
      big.div(constant(-3, "i32")),
      constant(-(2 ** 31), "i32")
        .add(a.mul(0))
        .div(few),
      big.shl(b),
      big.shr(b),
      big.shr(constant(35, "i32")),
      big.shl(param(0, "i32")),
      big.min(b).max(few.mul(1000)),
      big.and(b).or(a.xor(b)),
      a.lt(b).select(a, b),
      a.eq(few).or(b.lt(a)).not().cast("i32"),
      a.cast("f32").mul(1.7).cast("i32"),
      axisIndex(0).mul(axisIndex(0)).add(a),
    ])
      await check([store([2, e])], [dense("i32", n), dense("i32", n), dense("i32", n, "write")], [37]);
  });

  it("bools are 0 and 1 in memory", async () => {
    const [a, b] = [load(0, "bool"), load(1, "bool")];
    for (const e of [
      a,
      a.and(b),
      a.or(b),
      a.xor(b),
      a.not(),
      a.eq(b),
      a.lt(b),
      b.select(a, constant(1, "bool")),
      load(0, "bool").and(param(0, "bool")),
    ]) {
      const operands = [dense("bool", n), dense("bool", n), dense("bool", n, "write")];
      const kernel = kernelOf(["map"], operands, { stages: [store([2, e])], params: ["bool"] });
      await compare({ trial: { kernel, sizes: [n], operands, params: [1] }, folded: 1 });
    }
  });

  it("elements by index, out of range too", async () => {
    const operands = [
      dense("i32", n),
      indexed("f32", 5),
      indexed("bool", 9),
      dense("f32", n, "write"),
      dense("bool", n, "write"),
    ];
    const i = load(0, "i32");
    await check([store([3, loadAt(1, i.rem(9))], [4, loadAt(2, axisIndex(0).mul(3), "bool")])], operands);
    await check([store([3, loadAt(1, param(0, "i32"))], [4, loadAt(2, i, "bool")])], operands, [3]);
  });

  it("all writes are evaluated before the first is stored", async () => {
    const operands = [dense("f32", n, "update"), dense("f32", n, "update"), dense("f32", n)];
    await check([store([0, load(1).add(load(2))], [1, load(0)])], operands);
  });

  it("scatters in order and drops what is outside", async () => {
    const operands = [dense("i32", n), dense("f32", n), indexed("f32", 6, "update"), indexed("i32", 4, "update")];
    await check([{ kind: "scatter", operand: 2, index: load(0, "i32").rem(8), expr: load(1) }], operands);
    await check([{ kind: "scatter", operand: 3, index: load(0, "i32").rem(5), expr: load(0, "i32") }], operands);
  });
});

describe("a reduction over nothing but a single element", () => {
  it.each(Object.entries(PROGRAMS))("%s: an axis of size 1 may be left out", async (_, stages) => {
    for (const n of SIZES) {
      const operand = (mode: TrialOperand["mode"], seed: number): TrialOperand =>
        layOut(
          { dtype: "f32", mode, sizes: [n], axes: [0] },
          { order: 0, gaps: [0], flips: [false], still: [false], seed },
        );
      const operands = [operand("read", 1), operand("read", 2), operand("write", 3), operand("write", 4)];
      const wide = operands.map((o) => ({ ...o, strides: [...o.strides, 0] }));
      const without = await runTrial(fused, {
        kernel: kernelOf(["map"], operands, { stages }),
        sizes: [n],
        operands,
        params: [],
      });
      const kernel = kernelOf(["map", "reduce"], wide, { stages });
      const withAxis = await runTrial(exact, { kernel, sizes: [n, 1], operands: wide, params: [] });
      for (const [k, array] of withAxis.entries())
        assertClose(`operand ${k}`, without[k]!, array, { tolerance: (i) => 1e-5 * (1 + Math.abs(array[i]!)) });
    }
  });
});

describe("update operands", () => {
  it("are read where they stand, by every stage", async () => {
    const operands: TrialOperand[] = [
      { dtype: "f32", mode: "update", indexed: false, strides: [1, 0], offset: 2, length: 5, data: fill(1, 9, "f32") },
      { dtype: "f32", mode: "read", indexed: false, strides: [17, 1], offset: 0, length: 85, data: fill(2, 85, "f32") },
      {
        dtype: "f32",
        mode: "write",
        indexed: false,
        strides: [17, 1],
        offset: 0,
        length: 85,
        data: fill(3, 85, "f32"),
      },
    ];
    const stages: Stage[] = [
      { kind: "reduce", op: "sum", expr: load(1).mul(load(0)) },
      { kind: "store", perRow: true, writes: [{ operand: 0, expr: load(0).mul(0.5).add(1) }] },
      { kind: "store", perRow: false, writes: [{ operand: 2, expr: load(0).add(load(1)) }] },
    ];
    const kernel = kernelOf(["map", "reduce"], operands, { stages });
    await compare({ trial: { kernel, sizes: [5, 17], operands, params: [] }, folded: 17 });
  });
});

describe("kernels are compiled once, whatever the sizes", () => {
  it("and layouts of the same walks", async () => {
    const before = plain.kernelCount;
    for (const n of SIZES) {
      const operands = [dense("f32", n), dense("f32", n, "write")];
      const stages: Stage[] = [{ kind: "store", perRow: false, writes: [{ operand: 1, expr: load(0).mul(1.25) }] }];
      await runTrial(plain, { kernel: kernelOf(["map"], operands, { stages }), sizes: [n], operands, params: [] });
    }
    // One size has stride 1, another 0: `still` for a single element.
    expect(plain.kernelCount - before).toBeLessThanOrEqual(2);
  });
});
