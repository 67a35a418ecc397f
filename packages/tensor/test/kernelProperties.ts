import { type Backend, type Dtype, referenceBackend, type TypedArray } from "@dfine/tensor";
import { axisIndex, constant, load, loadAt, param, row, type Stage, type Write } from "@dfine/tensor/kernel";
import { assertClose } from "@dfine/tensor/testing";
import fc from "fast-check";
import { describe, it } from "vitest";
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
} from "./kernelTrial.ts";

/** The meaning of every kernel. */
export const exact = referenceBackend({ floatBits: 64 });

export const SIZES = [0, 1, 2, 3, 4, 5, 17, 65];

/** A trial and how many numbers the sums in it have. */
export interface FoldedTrial {
  readonly trial: Trial;
  readonly folded: number;
}

/**
 * Runs a trial on each backend, holds it against the reference in float64, and gives back what each made of it. Whole
 * buffers are compared: elements, the gaps between them, and the margins.
 */
export async function compareWithExact<Name extends string>(
  backends: Readonly<Record<Name, Backend>>,
  { trial, folded }: FoldedTrial,
): Promise<Record<Name, TypedArray[]>> {
  const expected = await runTrial(exact, trial);
  const results: [string, TypedArray[]][] = [];
  for (const [name, backend] of Object.entries<Backend>(backends)) {
    const actual = await runTrial(backend, trial);
    for (const [k, array] of expected.entries())
      assertClose(`${name}, operand ${k}`, actual[k]!, array, {
        // Sums of products of values up to 3, and rounding of what is made of them.
        tolerance: (i) => 3e-7 * 9 * folded + 1e-5 * (1 + Math.abs(array[i]!)),
      });
    results.push([name, actual]);
  }
  return Object.fromEntries(results) as Record<Name, TypedArray[]>;
}

/** An operand of one axis without gaps. */
export const dense = (dtype: Dtype, length: number, mode: TrialOperand["mode"] = "read"): TrialOperand =>
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

/** A stage that stores an expression per element into each of some operands. */
export const store = (...writes: [number, ReturnType<typeof load>][]): Stage => ({
  kind: "store",
  perRow: false,
  writes: writes.map(([operand, expr]) => ({ operand, expr })),
});

const axis = fc.record({ kind: fc.constantFrom("map" as const, "reduce" as const), size: fc.constantFrom(...SIZES) });
const axes = fc
  .array(axis, { maxLength: 4 })
  .map((list) => [...list].sort((a, b) => a.kind.localeCompare(b.kind)))
  .filter((list) => list.reduce((n, { size }) => n * size, 1) <= 6000);

/** Any sizes and kinds of axes, operands laid out anyhow. */
const nests = (stages: readonly Stage[]): fc.Arbitrary<FoldedTrial> =>
  fc.tuple(axes, fc.array(layoutChoice, { minLength: 4, maxLength: 4 })).map(([list, choices]) => {
    const sizes = list.map(({ size }) => size);
    const kinds = list.map(({ kind }) => kind);
    const all = list.map((_, i) => i);
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
    return { trial: { kernel: kernelOf(kinds, operands, { stages }), sizes, operands, params: [] }, folded };
  });

export interface KernelPropertyOptions {
  /** Loop nests per program. */
  readonly runs: number;
  /** Lengths on which single operations are tried. */
  readonly lengths: readonly number[];
}

/** Tests of what a backend makes of kernels, of which `compare` runs one and rejects when it differs from the reference. */
export function kernelProperties(
  compare: (trial: FoldedTrial) => Promise<void>,
  { runs, lengths }: KernelPropertyOptions,
): void {
  describe("random loop nests agree with the reference in float64", () => {
    it.each(Object.entries(PROGRAMS))("%s", (_, stages) =>
      fc.assert(fc.asyncProperty(nests(stages), compare), { numRuns: runs }),
    );
  });

  describe.each(lengths)("%i elements", (n) => {
    const check = (
      stages: readonly Stage[],
      operands: readonly TrialOperand[],
      { params = [], dtype = "i32" }: { params?: readonly number[]; dtype?: Dtype } = {},
    ) => {
      const kernel = kernelOf(["map"], operands, { stages, params: params.map(() => dtype) });
      return compare({ trial: { kernel, sizes: [n], operands, params }, folded: 1 });
    };

    it("integers: arithmetic wraps, division truncates, by 0 gives 0, shifts count modulo 32", async () => {
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
        await check([store([2, e])], [dense("i32", n), dense("i32", n), dense("i32", n, "write")], { params: [37] });
    });

    it("bools are 0 and 1 in memory", async () => {
      const [a, b, c] = [load(0, "bool"), load(1, "bool"), param(0, "bool")];
      for (const e of [
        a,
        a.and(b),
        a.or(b),
        a.xor(b),
        a.not(),
        a.eq(b),
        a.not().eq(b),
        a.lt(b),
        b.select(a, constant(1, "bool")),
        a.and(c),
        a.or(b).and(c),
      ]) {
        const operands = [dense("bool", n), dense("bool", n), dense("bool", n, "write")];
        await check([store([2, e])], operands, { params: [1], dtype: "bool" });
      }
    });

    it("elements by index, out of range too, and more buffers than may be bound", async () => {
      const operands = [
        dense("i32", n),
        indexed("f32", 5),
        indexed("bool", 9),
        dense("f32", n, "write"),
        dense("bool", n, "write"),
      ];
      const i = load(0, "i32");
      await check([store([3, loadAt(1, i.rem(9))], [4, loadAt(2, axisIndex(0).mul(3), "bool")])], operands);
      await check([store([3, loadAt(1, param(0, "i32"))], [4, loadAt(2, i, "bool")])], operands, { params: [3] });
    });

    it("all writes are evaluated before the first is stored", async () => {
      const operands = [dense("f32", n, "update"), dense("f32", n, "update"), dense("f32", n)];
      await check([store([0, load(1).add(load(2))], [1, load(0)])], operands);
    });

    it("scatters in order and drops what is outside", async () => {
      const operands = [dense("i32", n), dense("f32", n), indexed("f32", 6, "update"), indexed("i32", 4, "update")];
      const [floats, integers]: Write[] = [
        { operand: 2, index: load(0, "i32").rem(8), expr: load(1) },
        { operand: 3, index: load(0, "i32").rem(5), expr: load(0, "i32") },
      ];
      for (const writes of [[floats!], [integers!], [floats!, integers!]])
        await check([{ kind: "store", perRow: false, writes }], operands);
    });
  });

  it.each([17, 170])("update operands are read where they stand, by every stage: rows of %i", async (columns) => {
    const gapless = (mode: TrialOperand["mode"], seed: number): TrialOperand => ({
      ...{ dtype: "f32", mode, indexed: false, strides: [columns, 1], offset: 0, length: 5 * columns },
      data: fill(seed, 5 * columns, "f32"),
    });
    const operands: TrialOperand[] = [
      { ...gapless("update", 1), strides: [1, 0], offset: 2, length: 5, data: fill(1, 9, "f32") },
      gapless("read", 2),
      gapless("write", 3),
    ];
    const stages: Stage[] = [
      { kind: "reduce", op: "sum", expr: load(1).mul(load(0)) },
      { kind: "store", perRow: true, writes: [{ operand: 0, expr: load(0).mul(0.5).add(row(0).mul(0.01)) }] },
      store([2, load(0).add(load(1))]),
    ];
    const kernel = kernelOf(["map", "reduce"], operands, { stages });
    await compare({ trial: { kernel, sizes: [5, columns], operands, params: [] }, folded: columns });
  });
}
