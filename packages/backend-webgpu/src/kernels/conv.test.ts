import { type Conv2dOptions, conv2d, gradients, type Tensor } from "@dfine/tensor";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { evaluate, exact, f32, numbers, variants } from "../../test/opKit.ts";
import { expectClose, expectedOf, productKinds } from "../../test/productKit.ts";

const kinds = await productKinds();
afterAll(() => {
  for (const [, backend] of kinds) backend.dispose();
});

interface Case {
  /** B, Ci, H, W */
  readonly x: readonly [number, number, number, number];
  /** Co, kh, kw */
  readonly kernel: readonly [number, number, number];
  readonly stride?: readonly [number, number];
  readonly padding?: readonly [number, number, number, number];
  readonly dilation?: readonly [number, number];
  readonly groups?: number;
}

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

function shapes({ x, kernel, ...rest }: Case) {
  const { stride = [1, 1], padding = [0, 0, 0, 0], dilation = [1, 1], groups = 1 } = rest;
  const [co, kh, kw] = kernel;
  const out = (length: number, k: number, i: 0 | 1) =>
    Math.floor((length + padding[i] + padding[i + 2]! - dilation[i] * (k - 1) - 1) / stride[i]) + 1;
  return {
    x,
    weight: [co, x[1] / groups, kh, kw],
    y: [x[0], co, out(x[2], kh, 0), out(x[3], kw, 1)],
    options: { stride, padding, dilation, groups } satisfies Conv2dOptions,
  } as const;
}

/** x, weight and dy; the convolution and its gradients. */
function problem(test: Case) {
  const { x, weight, y, options } = shapes(test);
  const convolve = ([a, b]: readonly Tensor[]): Tensor => conv2d(a!, b!, options);
  return {
    inputs: [f32(numbers(size(x), 1), x), f32(numbers(size(weight), 2), weight), f32(numbers(size(y), 3), y)],
    run: (tensors: readonly Tensor[]) => {
      const inputs = tensors.slice(0, 2);
      return [convolve(inputs), ...gradients(convolve, { inputs, dy: tensors[2]! })];
    },
  };
}

async function check(test: Case): Promise<void> {
  const { inputs, run } = problem(test);
  const expected = await expectedOf(inputs, run);
  for (const [, backend] of kinds) expectClose(await evaluate(backend, inputs, run), expected);
}

const one = [1, 1, 1, 1] as const;
const two = [2, 2, 2, 2] as const;
const CASES: readonly Case[] = [
  { x: [2, 3, 5, 7], kernel: [4, 1, 1] },
  { x: [3, 21, 10, 10], kernel: [16, 1, 1] },
  { x: [1, 600, 3, 5], kernel: [9, 1, 1] },
  { x: [1, 3, 20, 18], kernel: [16, 3, 3], stride: [2, 2], padding: one },
  { x: [2, 16, 9, 9], kernel: [8, 2, 2] },
  { x: [2, 32, 10, 12], kernel: [16, 3, 3], stride: [2, 2], padding: one },
  { x: [2, 21, 10, 10], kernel: [21, 3, 3], padding: one },
  { x: [1, 3, 9, 9], kernel: [4, 5, 5], stride: [2, 2], padding: two },
  { x: [1, 64, 4, 33], kernel: [32, 3, 3], padding: one },
  { x: [1, 6, 6, 5], kernel: [4, 3, 3], padding: [0, 1, 2, 1], groups: 2 },
  { x: [1, 4, 6, 5], kernel: [8, 3, 3], padding: one, groups: 4 },
  { x: [1, 2, 7, 7], kernel: [3, 3, 3], padding: two, dilation: [2, 2] },
  { x: [1, 4, 9, 8], kernel: [3, 1, 1], stride: [2, 2] },
  { x: [1, 2, 6, 6], kernel: [3, 1, 1], padding: one },
  // Channel by channel; the last kernel is too large to be written out.
  { x: [2, 7, 20, 20], kernel: [7, 5, 5], padding: two, groups: 7 },
  { x: [2, 5, 12, 12], kernel: [5, 3, 3], stride: [2, 2], padding: one, groups: 5 },
  { x: [1, 5, 11, 9], kernel: [5, 3, 3], stride: [3, 1], padding: one, groups: 5 },
  { x: [1, 4, 19, 9], kernel: [4, 3, 2], dilation: [3, 2], padding: [3, 0, 4, 1], groups: 4 },
  { x: [1, 3, 40, 31], kernel: [3, 5, 3], stride: [2, 2], padding: two, groups: 3 },
  { x: [1, 2, 12, 12], kernel: [2, 8, 8], groups: 2 },
  // Positions that no window reaches, and windows that reach far outside.
  { x: [1, 2, 8, 8], kernel: [2, 1, 2], stride: [3, 3] },
  { x: [1, 3, 8, 9], kernel: [3, 1, 2], stride: [3, 3], groups: 3 },
  { x: [1, 2, 3, 4], kernel: [2, 3, 3], padding: [4, 3, 4, 5] },
  { x: [1, 1, 1, 1], kernel: [1, 3, 3], padding: one },
  // The weight's gradient is summed in parts.
  { x: [3, 4, 70, 69], kernel: [5, 3, 3], padding: one },
];

describe("conv2d and its gradients", () => {
  it.each(CASES.map((test) => [JSON.stringify(test), test] as const))("%s", (_, test) => check(test));

  it("of any shape", async () => {
    const small = (max: number) => fc.integer({ min: 1, max });
    const cases = fc
      .record({
        batch: small(3),
        groups: small(3),
        perGroup: fc.tuple(small(6), small(6)),
        size: fc.tuple(small(13), small(19)),
        kernel: fc.tuple(small(5), small(5)),
        stride: fc.tuple(small(3), small(3)),
        padding: fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3), fc.nat(3)),
        dilation: fc.tuple(small(2), small(2)),
      })
      .map(
        ({ batch, groups, perGroup, size: [h, w], kernel, ...rest }): Case => ({
          x: [batch, groups * perGroup[0], h, w],
          kernel: [groups * perGroup[1], ...kernel],
          groups,
          ...rest,
        }),
      )
      .filter((test) => shapes(test).y.every((n) => n >= 1));
    await fc.assert(fc.asyncProperty(cases, check), { numRuns: 80 });
  });

  it.each([
    ["dense", 1],
    ["depthwise", 3],
  ])("%s: NaN and infinity reach exactly the elements whose sums they are in", async (_, groups) => {
    const test: Case = { x: [1, 3, 6, 10], kernel: [3, 3, 3], padding: one, groups };
    // Column 9 and row 0 touch the padding; the pixel next to a row's end would leak into the next row.
    for (const [at, bad] of [
      [9, Number.NaN],
      [20, Number.POSITIVE_INFINITY],
      [179, Number.NaN],
    ] as const) {
      const { inputs, run } = problem(test);
      (inputs[0]!.values as Float32Array)[at] = bad;
      (inputs[2]!.values as Float32Array)[at] = bad;
      const expected = await evaluate(exact, inputs, run);
      const finite = (arrays: typeof expected) => arrays.map((array) => Array.from(array, Number.isFinite));
      for (const [, backend] of kinds) expect(finite(await evaluate(backend, inputs, run))).toEqual(finite(expected));
    }
  });

  it("gives the same bits on every run", async () => {
    const { inputs, run } = problem({ x: [2, 3, 50, 49], kernel: [4, 3, 3], padding: one });
    for (const [, backend] of kinds)
      expect(await evaluate(backend, inputs, run)).toEqual(await evaluate(backend, inputs, run));
  });

  it("runs the kernels meant for D-FINE's layers, and compiles nothing for other sizes", async () => {
    const [, backend] = kinds[0]!;
    const chosen = async (test: Case): Promise<string[]> => {
      const { inputs, run } = problem(test);
      return [...new Set((await variants(backend, inputs, run)).map((name) => name.split(": ")[1]!))];
    };
    expect(await chosen({ x: [1, 64, 4, 4], kernel: [32, 1, 1] })).toEqual(["pointwise"]);
    expect(await chosen({ x: [1, 64, 4, 4], kernel: [64, 5, 5], padding: two, groups: 64 })).toEqual(["depthwise"]);
    expect(await chosen({ x: [1, 3, 8, 8], kernel: [16, 3, 3], padding: one, stride: [2, 2] })).toEqual(["windows"]);
    const before = backend.counters.pipelines;
    await chosen({ x: [1, 64, 5, 6], kernel: [64, 5, 5], padding: two, groups: 64 });
    await chosen({ x: [1, 60, 4, 4], kernel: [31, 1, 1] });
    expect(backend.counters.pipelines).toBe(before);
  });
});
