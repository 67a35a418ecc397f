import { axisIndex, constant, type Dtype, load, loadAt, param, referenceBackend, row, type Stage } from "@dfine/tensor";
import { assertClose } from "@dfine/tensor/testing";
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
} from "../../../backend-cpu/test/kernelTrial.ts";
import { webgpu } from "../backend.ts";

const exact = referenceBackend({ floatBits: 64 });
const serial = await webgpu({ barriers: false, visitsPerDispatch: 100 });
const byFour = await webgpu({ barriers: false, quadVisits: 0 });
const folding = await webgpu({ barriers: true, maxBindings: 4 });
afterAll(() => {
  for (const backend of [serial, byFour, folding]) backend.dispose();
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
  for (const [name, backend] of Object.entries({ serial, byFour, folding })) {
    const actual = await runTrial(backend, trial);
    for (const [k, array] of expected.entries())
      assertClose(`${name}, operand ${k}`, actual[k]!, array, {
        // Sums of products of values up to 3, and rounding of what is made of them.
        tolerance: (i) => 3e-7 * 9 * folded + 1e-5 * (1 + Math.abs(array[i]!)),
      });
  }
}

describe("random loop nests agree with the reference in float64", () => {
  it.each(Object.entries(PROGRAMS))("%s", async (_, stages) => {
    await fc.assert(
      fc.asyncProperty(axes, fc.array(layoutChoice, { minLength: 4, maxLength: 4 }), async (list, choices) => {
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
        const kernel = kernelOf(kinds, operands, { stages });
        await compare({ trial: { kernel, sizes, operands, params: [] }, folded });
      }),
      { numRuns: 40 },
    );
  });
});

const still = { order: 0, gaps: [0, 0], flips: [false, false], still: [false, false] };
const dense = (dtype: Dtype, length: number, mode: TrialOperand["mode"] = "read"): TrialOperand =>
  layOut({ dtype, mode, sizes: [length], axes: [0] }, { ...still, seed: length + 7 });
const indexed = (dtype: Dtype, length: number, mode: TrialOperand["mode"] = "read"): TrialOperand => ({
  ...dense(dtype, length, mode),
  strides: [0],
  indexed: true,
  length,
});
const store = (...writes: [number, ReturnType<typeof load>][]): Stage => ({
  kind: "store",
  perRow: false,
  writes: writes.map(([operand, expr]) => ({ operand, expr })),
});

describe.each([0, 1, 5, 65, 700])("%i elements", (n) => {
  const check = (stages: readonly Stage[], operands: readonly TrialOperand[], params: readonly number[] = []) => {
    const kernel = kernelOf(["map"], operands, { stages, params: params.map(() => "i32" as const) });
    return compare({ trial: { kernel, sizes: [n], operands, params }, folded: 1 });
  };

  it("integers: arithmetic wraps, division truncates, by 0 gives 0, shifts count modulo 32", async () => {
    const [a, b] = [load(0, "i32"), load(1, "i32")];
    const big = a.mul(0x7654321);
    const few = b.rem(3);
    const least = constant(-(2 ** 31), "i32").add(a.mul(0));
    for (const e of [
      big.mul(big).sub(b).add(big),
      big.div(b.rem(7)).add(big.rem(few)),
      big.div(constant(10, "i32")).xor(big.div(constant(-3, "i32"))),
      least.div(few),
      big.shl(b).xor(big.shr(b)),
      big.shr(constant(35, "i32")).add(big.shl(param(0, "i32"))),
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
    const [a, b, c] = [load(0, "bool"), load(1, "bool"), param(0, "bool")];
    for (const e of [a.and(b), a.or(b).and(c), a.xor(b), a.not().eq(b), a.lt(b), b.select(a, constant(1, "bool"))]) {
      const operands = [dense("bool", n), dense("bool", n), dense("bool", n, "write")];
      const kernel = kernelOf(["map"], operands, { stages: [store([2, e])], params: ["bool"] });
      await compare({ trial: { kernel, sizes: [n], operands, params: [1] }, folded: 1 });
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

it("update operands are read where they stand, by every stage", async () => {
  const gapless = (mode: TrialOperand["mode"], seed: number): TrialOperand => ({
    ...{ dtype: "f32", mode, indexed: false, strides: [170, 1], offset: 0, length: 850 },
    data: fill(seed, 850, "f32"),
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
  await compare({ trial: { kernel, sizes: [5, 170], operands, params: [] }, folded: 170 });
});

it("views of one buffer are bound once, also where one is written", async () => {
  const stages = [store([2, load(0).add(load(1))])];
  for (const backend of [exact, serial, byFour, folding]) {
    const buffer = backend.alloc(300, "f32");
    backend.write(
      { buffer, offset: 0, length: 300 },
      Float32Array.from({ length: 300 }, (_, i) => i),
    );
    const at = (offset: number) => ({ buffer, offset, strides: [1], length: 300 - offset });
    const operands = [dense("f32", 100), dense("f32", 100), dense("f32", 100, "write")];
    const kernel = kernelOf(["map"], operands, { stages });
    backend.run(kernel, { sizes: [100], operands: [at(0), at(100), at(200)], params: [] });
    const [values] = await backend.read([{ buffer, offset: 0, length: 300 }]);
    expect([...values!]).toEqual(Array.from({ length: 300 }, (_, i) => (i < 200 ? i : 2 * i - 300)));
    backend.free(buffer);
  }
});

it("more elements than one row of workgroups holds", async () => {
  const n = 65535 * 64 + 77;
  const buffer = folding.alloc(n, "i32");
  const kernel = kernelOf(["map"], [dense("i32", 2, "write")], { stages: [store([0, axisIndex(0).mul(3)])] });
  folding.run(kernel, { sizes: [n], operands: [{ buffer, offset: 0, strides: [1], length: n }], params: [] });
  const [values] = await folding.read([{ buffer, offset: 0, length: n }]);
  expect(values!.findIndex((value, i) => value !== 3 * i)).toBe(-1);
  folding.free(buffer);
});

it("kernels are compiled once, whatever the sizes", async () => {
  const before = serial.counters.pipelines;
  for (const n of SIZES) {
    const operands = [dense("f32", n), dense("f32", n, "write")];
    const kernel = kernelOf(["map"], operands, { stages: [store([1, load(0).mul(1.25)])] });
    await runTrial(serial, { kernel, sizes: [n], operands, params: [] });
  }
  // One size has stride 1, another 0: `still` for a single element.
  expect(serial.counters.pipelines - before).toBeLessThanOrEqual(2);
});
