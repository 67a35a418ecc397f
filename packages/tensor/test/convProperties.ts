import { type Conv2dAttrs, sizeOf } from "@dfine/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { atLeastOne, expectClose, numbers, type Oracle, zeroSums } from "./sums.ts";

export interface ConvCase {
  /** B, Ci, H, W */
  readonly x: readonly [number, number, number, number];
  /** Co, kh, kw */
  readonly kernel: readonly [number, number, number];
  readonly stride?: readonly [number, number];
  readonly padding?: readonly [number, number, number, number];
  readonly dilation?: readonly [number, number];
  readonly groups?: number;
}

export function convAttrs({ stride = [1, 1], padding = [0, 0, 0, 0], dilation = [1, 1], groups = 1 }: ConvCase) {
  return { stride, padding, dilation, groups } as const satisfies Conv2dAttrs;
}

export function convShapes(test: ConvCase) {
  const { stride, padding, dilation, groups } = convAttrs(test);
  const [b, ci, h, w] = test.x;
  const [co, kh, kw] = test.kernel;
  const out = (length: number, k: number, i: 0 | 1) =>
    Math.floor((length + padding[i] + padding[i + 2]! - dilation[i] * (k - 1) - 1) / stride[i]) + 1;
  return { x: [b, ci, h, w], weight: [co, ci / groups, kh, kw], y: [b, co, out(h, kh, 0), out(w, kw, 1)] } as const;
}

export interface ConvData {
  readonly x: Float32Array;
  readonly weight: Float32Array;
  readonly dy: Float32Array;
}

export function convData(test: ConvCase): ConvData {
  const { x, weight, y } = convShapes(test);
  return { x: numbers(sizeOf(x), 1), weight: numbers(sizeOf(weight), 2), dy: numbers(sizeOf(y), 3) };
}

/** Calls `visit` with the flat positions in y, x (undefined: a zero of the padding) and weight of every product. */
export function eachProduct(test: ConvCase, visit: (y: number, x: number | undefined, weight: number) => void): void {
  const { stride, padding, dilation, groups } = convAttrs(test);
  const { x, weight, y } = convShapes(test);
  const [, channels, height, width] = x;
  const [, ci, kh, kw] = weight;
  const [batch, co, ho, wo] = y;
  for (let b = 0; b < batch; b++)
    for (let o = 0; o < co; o++)
      for (let oy = 0; oy < ho; oy++)
        for (let ox = 0; ox < wo; ox++)
          for (let c = 0; c < ci; c++)
            for (let ky = 0; ky < kh; ky++)
              for (let kx = 0; kx < kw; kx++) {
                const iy = oy * stride[0] + ky * dilation[0] - padding[0];
                const ix = ox * stride[1] + kx * dilation[1] - padding[1];
                const isInside = iy >= 0 && iy < height && ix >= 0 && ix < width;
                const channel = Math.floor(o / (co / groups)) * ci + c;
                visit(
                  ((b * co + o) * ho + oy) * wo + ox,
                  isInside ? ((b * channels + channel) * height + iy) * width + ix : undefined,
                  ((o * ci + c) * kh + ky) * kw + kx,
                );
              }
}

/** The convolution and its gradients, in this order everywhere. */
export const CONV_RESULTS = ["y", "dx", "dw"] as const;
export type ConvResults<T> = Readonly<Record<(typeof CONV_RESULTS)[number], T>>;

export function convOracles(
  test: ConvCase,
  { x, weight, dy }: Readonly<Record<keyof ConvData, ArrayLike<number>>>,
): ConvResults<Oracle> {
  const shapes = convShapes(test);
  const zeros = (name: keyof typeof shapes) => zeroSums(sizeOf(shapes[name]));
  const [y, dx, dw] = [zeros("y"), zeros("x"), zeros("weight")];
  const add = (target: typeof y, i: number, term: number) => {
    target.values[i]! += term;
    target.magnitudes[i]! += Math.abs(term);
  };
  eachProduct(test, (yi, xi, wi) => {
    const value = xi === undefined ? 0 : x[xi]!;
    add(y, yi, value * weight[wi]!);
    if (xi !== undefined) add(dx, xi, dy[yi]! * weight[wi]!);
    // As with PyTorch's unfolded input: the padding's zeros are multiplied too, so NaN · 0 counts.
    add(dw, wi, dy[yi]! * value);
  });
  return { y, dx, dw };
}

const one = [1, 1, 1, 1] as const;
const two = [2, 2, 2, 2] as const;
const CASES: readonly ConvCase[] = [
  { x: [2, 3, 5, 7], kernel: [4, 1, 1] },
  { x: [2, 16, 3, 3], kernel: [12, 1, 1] },
  { x: [3, 21, 10, 10], kernel: [16, 1, 1] },
  { x: [1, 600, 3, 5], kernel: [9, 1, 1] },
  { x: [2, 1100, 3, 3], kernel: [6, 1, 1] },
  { x: [1, 3, 20, 18], kernel: [16, 3, 3], stride: [2, 2], padding: one },
  { x: [2, 16, 9, 9], kernel: [8, 2, 2] },
  { x: [1, 8, 13, 13], kernel: [16, 2, 2] },
  { x: [2, 32, 10, 12], kernel: [16, 3, 3], stride: [2, 2], padding: one },
  { x: [1, 16, 8, 20], kernel: [16, 3, 3], padding: one },
  { x: [2, 21, 10, 10], kernel: [21, 3, 3], padding: one },
  { x: [1, 21, 5, 5], kernel: [21, 3, 3], padding: one },
  { x: [1, 3, 9, 9], kernel: [4, 5, 5], stride: [2, 2], padding: two },
  { x: [1, 64, 4, 33], kernel: [32, 3, 3], padding: one },
  { x: [1, 6, 6, 5], kernel: [4, 3, 3], padding: [0, 1, 2, 1], groups: 2 },
  { x: [1, 4, 6, 5], kernel: [8, 3, 3], padding: one, groups: 4 },
  { x: [1, 2, 7, 7], kernel: [3, 3, 3], padding: two, dilation: [2, 2] },
  { x: [1, 4, 9, 8], kernel: [3, 1, 1], stride: [2, 2] },
  { x: [1, 2, 6, 6], kernel: [3, 1, 1], padding: one },
  // Channel by channel; the last kernel is too large to be written out.
  { x: [2, 7, 20, 20], kernel: [7, 5, 5], padding: two, groups: 7 },
  { x: [1, 6, 10, 11], kernel: [6, 5, 5], padding: two, groups: 6 },
  { x: [2, 5, 12, 12], kernel: [5, 3, 3], stride: [2, 2], padding: one, groups: 5 },
  { x: [1, 5, 11, 9], kernel: [5, 3, 3], stride: [2, 2], padding: one, groups: 5 },
  { x: [1, 5, 11, 9], kernel: [5, 3, 3], stride: [3, 1], padding: one, groups: 5 },
  { x: [1, 4, 19, 9], kernel: [4, 3, 2], dilation: [3, 2], padding: [3, 0, 4, 1], groups: 4 },
  { x: [1, 3, 40, 31], kernel: [3, 5, 3], stride: [2, 2], padding: two, groups: 3 },
  { x: [1, 2, 12, 12], kernel: [2, 8, 8], groups: 2 },
  // Positions that no window reaches, and windows that reach far outside.
  { x: [1, 2, 8, 8], kernel: [2, 1, 2], stride: [3, 3] },
  { x: [1, 3, 8, 9], kernel: [3, 1, 2], stride: [3, 3], groups: 3 },
  { x: [1, 2, 3, 4], kernel: [2, 3, 3], padding: [4, 3, 4, 5] },
  { x: [1, 1, 1, 1], kernel: [1, 3, 3], padding: one },
  // Sums in parts; more weights than one unit takes.
  { x: [3, 4, 70, 69], kernel: [5, 3, 3], padding: one },
  { x: [1, 300, 3, 4], kernel: [60, 3, 3], padding: one },
];

const small = (max: number) => fc.integer({ min: 1, max });
export const anyConv: fc.Arbitrary<ConvCase> = fc
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
    ({ batch, groups, perGroup, size: [h, w], kernel, ...rest }): ConvCase => ({
      x: [batch, groups * perGroup[0], h, w],
      kernel: [groups * perGroup[1], ...kernel],
      groups,
      ...rest,
    }),
  )
  .filter((test) => convShapes(test).y.every((n) => n >= 1));

export interface ConvCases {
  /** How many random ones. */
  readonly runs: number;
  /** Those that matter to this backend. */
  readonly more?: readonly ConvCase[];
  /** What random ones are drawn from; default `anyConv`. */
  readonly any?: fc.Arbitrary<ConvCase>;
}

/** Runs `check` on cases of every kind. */
export function eachConv(
  check: (test: ConvCase) => void | Promise<void>,
  { runs, more = [], any = anyConv }: ConvCases,
): void {
  it.each([...CASES, ...more].map((test) => [JSON.stringify(test), test] as const))("%s", (_, test) => check(test));
  it("of any shape", () =>
    fc.assert(
      fc.asyncProperty(any, async (test) => check(test)),
      { numRuns: runs },
    ));
}

/** Results for a case's data, one for each kind of the backend. */
export interface ConvSubject {
  run(
    test: ConvCase,
    data: ConvData,
  ): readonly ConvResults<ArrayLike<number>>[] | Promise<readonly ConvResults<ArrayLike<number>>[]>;
  /** Names of the hand-written kernels that a case chooses. */
  chosen(test: ConvCase): readonly string[] | Promise<readonly string[]>;
}

/** Tests of convolutions and their gradients against nested loops. */
export function convProperties({ run, chosen }: ConvSubject, cases: ConvCases): void {
  describe("conv2d and its gradients", () => {
    eachConv(async (test) => {
      const data = convData(test);
      const expected = convOracles(test, data);
      for (const results of atLeastOne(await run(test, data)))
        for (const name of CONV_RESULTS) expectClose(results[name], expected[name], name);
    }, cases);

    it.each([
      ["dense", 1],
      ["depthwise", 3],
    ])("%s: NaN and infinity reach exactly the elements whose sums they are in", async (_, groups) => {
      const test: ConvCase = { x: [1, 3, 6, 10], kernel: [3, 3, 3], padding: one, groups };
      // Column 9 and row 0 touch the padding; the pixel next to a row's end would leak into the next row.
      for (const [at, bad] of [
        [9, Number.NaN],
        [20, Number.POSITIVE_INFINITY],
        [179, Number.NaN],
      ] as const) {
        const data = convData(test);
        data.x[at] = bad;
        data.dy[at] = bad;
        const expected = convOracles(test, data);
        const finite = (array: ArrayLike<number>) => Array.from(array, Number.isFinite);
        for (const results of atLeastOne(await run(test, data)))
          for (const name of CONV_RESULTS) expect(finite(results[name]), name).toEqual(finite(expected[name].values));
      }
    });

    it("runs the kernels meant for D-FINE's layers", async () => {
      expect(await chosen({ x: [1, 64, 4, 4], kernel: [32, 1, 1] })).toEqual(["pointwise"]);
      expect(await chosen({ x: [1, 64, 4, 4], kernel: [64, 5, 5], padding: two, groups: 64 })).toEqual(["depthwise"]);
      expect(await chosen({ x: [1, 3, 8, 8], kernel: [16, 3, 3], padding: one, stride: [2, 2] })).toEqual(["windows"]);
    });
  });
}

/** Data of a convolution and of what follows it: bias and factor by channel, ReLU, scale and shift. */
export interface ConvActData extends ConvData {
  readonly bias: Float32Array;
  readonly factor: Float32Array;
  readonly scale: number;
  readonly shift: number;
}

export function convActData(test: ConvCase): ConvActData {
  const channels = test.kernel[0];
  return { ...convData(test), bias: numbers(channels, 4), factor: numbers(channels, 5), scale: -1.5, shift: 0.25 };
}

function convActOracle(test: ConvCase, data: ConvActData): Oracle {
  const { bias, factor, scale, shift } = data;
  const [, channels, height, width] = convShapes(test).y;
  const { values, magnitudes } = convOracles(test, data).y;
  const channelOf = (i: number): number => Math.floor(i / (height * width)) % channels;
  return {
    values: Array.from(values, (sum, i) => {
      const c = channelOf(i);
      return scale * Math.max(0, factor[c]! * sum + bias[c]!) + shift;
    }),
    magnitudes: Array.from(magnitudes, (magnitude, i) => {
      const c = channelOf(i);
      return Math.abs(scale) * (Math.abs(factor[c]!) * magnitude + Math.abs(bias[c]!)) + Math.abs(shift);
    }),
  };
}

type Results = readonly ArrayLike<number>[];

/** Tests of `conv2dAct` against nested loops; `run` gives a result for each kind of the backend. */
export function convActProperties(
  run: (test: ConvCase, data: ConvActData) => Results | Promise<Results>,
  cases: ConvCases,
): void {
  describe("a convolution followed by bias, factor, ReLU, scale and shift", () => {
    eachConv(async (test) => {
      const data = convActData(test);
      const expected = convActOracle(test, data);
      for (const result of atLeastOne(await run(test, data))) expectClose(result, expected);
    }, cases);
  });
}
