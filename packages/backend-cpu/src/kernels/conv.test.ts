import type { Conv2dAttrs } from "@dfine/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TestRuntime } from "../../test/hostileRuntime.ts";
import { expectClose, numbers, type Oracle, runOverride } from "../../test/kernelKit.ts";
import { conv2dActOverride, conv2dOverride } from "./conv2d.ts";
import { conv2dInputGradOverride } from "./conv2dInputGrad.ts";
import { conv2dWeightGradOverride } from "./conv2dWeightGrad.ts";

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

function attrsOf({ stride = [1, 1], padding = [0, 0, 0, 0], dilation = [1, 1], groups = 1 }: Case): Conv2dAttrs {
  return { stride, padding, dilation, groups };
}

function shapes(test: Case) {
  const { stride, padding, dilation, groups } = attrsOf(test);
  const [b, ci, h, w] = test.x;
  const [co, kh, kw] = test.kernel;
  const out = (size: number, k: number, i: 0 | 1) =>
    Math.floor((size + padding[i] + padding[i + 2]! - dilation[i] * (k - 1) - 1) / stride[i]) + 1;
  return { x: [b, ci, h, w], weight: [co, ci / groups, kh, kw], y: [b, co, out(h, kh, 0), out(w, kw, 1)] } as const;
}

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Calls `visit` with the flat positions in y, x (undefined: a zero of the padding) and weight of every product. */
function products(test: Case, visit: (y: number, x: number | undefined, weight: number) => void): void {
  const { stride, padding, dilation, groups } = attrsOf(test);
  const { x, weight, y } = shapes(test);
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

interface Data {
  readonly x: Float32Array;
  readonly weight: Float32Array;
  readonly dy: Float32Array;
}

function oracles(test: Case, { x, weight, dy }: Data): Record<"y" | "dx" | "dw", Oracle> {
  const { x: xs, weight: ws, y: ys } = shapes(test);
  const zeros = (shape: readonly number[]) => ({
    values: new Array<number>(size(shape)).fill(0),
    magnitudes: new Array<number>(size(shape)).fill(0),
  });
  const result = { y: zeros(ys), dx: zeros(xs), dw: zeros(ws) };
  const add = (target: { values: number[]; magnitudes: number[] }, i: number, term: number) => {
    target.values[i]! += term;
    target.magnitudes[i]! += Math.abs(term);
  };
  products(test, (yi, xi, wi) => {
    const value = xi === undefined ? 0 : x[xi]!;
    add(result.y, yi, value * weight[wi]!);
    if (xi !== undefined) add(result.dx, xi, dy[yi]! * weight[wi]!);
    // As with PyTorch's unfolded input: the padding's zeros are multiplied too, so NaN · 0 counts.
    add(result.dw, wi, dy[yi]! * value);
  });
  return result;
}

function check(test: Case): void {
  const attrs = attrsOf(test);
  const { x, weight, y } = shapes(test);
  const data = { x: numbers(size(x), 1), weight: numbers(size(weight), 2), dy: numbers(size(y), 3) };
  const expected = oracles(test, data);
  runOverride<"conv2d">(
    conv2dOverride,
    {
      inputs: (runtime) => [runtime.view(x, data.x), runtime.view(weight, data.weight)],
      outputs: (runtime) => [runtime.view(y)],
      attrs,
    },
    ([got]) => expectClose(got!, expected.y),
  );
  checkActivated(test, data, expected.y);
  runOverride<"conv2dInputGrad">(
    conv2dInputGradOverride,
    {
      inputs: (runtime) => [runtime.view(y, data.dy), runtime.view(weight, data.weight)],
      outputs: (runtime) => [runtime.view(x)],
      attrs: { ...attrs, inputSize: [x[2], x[3]] },
    },
    ([got]) => expectClose(got!, expected.dx),
  );
  runOverride<"conv2dWeightGrad">(
    conv2dWeightGradOverride,
    {
      inputs: (runtime) => [runtime.view(y, data.dy), runtime.view(x, data.x)],
      outputs: (runtime) => [runtime.view(weight)],
      attrs: { ...attrs, kernelSize: [weight[2], weight[3]] },
    },
    ([got]) => expectClose(got!, expected.dw),
  );
}

/** The convolution followed by bias, factor, ReLU, scale and shift. */
function checkActivated(test: Case, data: Data, sums: Oracle): void {
  const { x, weight, y } = shapes(test);
  const perChannel = [numbers(y[1], 4), numbers(y[1], 5)] as const;
  const [bias, factor] = perChannel;
  const [scale, shift] = [-1.5, 0.25];
  const channelOf = (i: number): number => Math.floor(i / (y[2] * y[3])) % y[1];
  const expected: Oracle = {
    values: sums.values.map((sum, i) => {
      const c = channelOf(i);
      return scale * Math.max(0, factor[c]! * sum + bias[c]!) + shift;
    }),
    magnitudes: sums.magnitudes.map((magnitude, i) => {
      const c = channelOf(i);
      return Math.abs(scale) * (Math.abs(factor[c]!) * magnitude + Math.abs(bias[c]!)) + shift;
    }),
  };
  runOverride<"conv2dAct">(
    conv2dActOverride,
    {
      inputs: (runtime) => [
        runtime.view(x, data.x),
        runtime.view(weight, data.weight),
        ...perChannel.map((values) => runtime.view([y[1]], values)),
        ...[scale, shift].map((value) => runtime.view([1], [value])),
      ],
      outputs: (runtime) => [runtime.view(y)],
      attrs: { ...attrsOf(test), activation: "relu" },
    },
    ([got]) => expectClose(got!, expected),
  );
}

const one = [1, 1, 1, 1] as const;
const two = [2, 2, 2, 2] as const;
const CASES: readonly Case[] = [
  { x: [2, 3, 5, 7], kernel: [4, 1, 1] },
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
  { x: [2, 7, 20, 20], kernel: [7, 5, 5], padding: two, groups: 7 },
  { x: [1, 6, 10, 11], kernel: [6, 5, 5], padding: two, groups: 6 },
  { x: [2, 5, 12, 12], kernel: [5, 3, 3], stride: [2, 2], padding: one, groups: 5 },
  { x: [1, 5, 11, 9], kernel: [5, 3, 3], stride: [2, 2], padding: one, groups: 5 },
  { x: [1, 6, 6, 5], kernel: [4, 3, 3], padding: [0, 1, 2, 1], groups: 2 },
  { x: [1, 4, 6, 5], kernel: [8, 3, 3], padding: one, groups: 4 },
  { x: [1, 2, 7, 7], kernel: [3, 3, 3], padding: two, dilation: [2, 2] },
  { x: [1, 4, 9, 8], kernel: [3, 1, 1], stride: [2, 2] },
  { x: [1, 2, 6, 6], kernel: [3, 1, 1], padding: one },
  // Positions that no window reaches, and a window that reaches far outside.
  { x: [1, 2, 8, 8], kernel: [2, 1, 2], stride: [3, 3] },
  { x: [1, 2, 3, 4], kernel: [2, 3, 3], padding: [4, 3, 4, 5] },
  { x: [1, 1, 1, 1], kernel: [1, 3, 3], padding: one },
  // More images than are padded at a time; more weights than one unit takes.
  { x: [3, 40, 100, 99], kernel: [1, 3, 3], padding: one },
  { x: [1, 300, 3, 4], kernel: [60, 3, 3], padding: one },
];

describe("conv2d and its gradients", () => {
  it.each(CASES.map((test) => [JSON.stringify(test), test] as const))("%s", (_, test) => check(test));

  it("of any shape", () => {
    const small = (max: number) => fc.integer({ min: 1, max });
    const sides = fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3), fc.nat(3));
    const cases = fc
      .record({
        batch: small(3),
        groups: small(3),
        perGroup: fc.tuple(small(6), small(6)),
        size: fc.tuple(small(13), small(19)),
        kernel: fc.tuple(small(5), small(5)),
        stride: fc.tuple(small(3), small(3)),
        padding: sides,
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
    fc.assert(fc.property(cases, check), { numRuns: 150 });
  });

  it.each([
    ["dense", 1],
    ["depthwise", 3],
  ])("%s: NaN and infinity reach exactly the elements whose sums they are in", (_, groups) => {
    const test: Case = { x: [1, 3, 6, 10], kernel: [3, 3, 3], padding: one, groups };
    const attrs = attrsOf(test);
    const { x, weight, y } = shapes(test);
    // Column 9 and row 0 touch the padding; the pixel next to a row's end would leak into the next row.
    for (const [at, bad] of [
      [9, Number.NaN],
      [20, Number.POSITIVE_INFINITY],
      [179, Number.NaN],
    ] as const) {
      const data = { x: numbers(size(x), 1), weight: numbers(size(weight), 2), dy: numbers(size(y), 3) };
      data.x[at] = bad;
      data.dy[at] = bad;
      const expected = oracles(test, data);
      const runtime = new TestRuntime();
      const [vx, vw, vy] = [runtime.view(x, data.x), runtime.view(weight, data.weight), runtime.view(y, data.dy)];
      const [outY, outX, outW] = [runtime.view(y), runtime.view(x), runtime.view(weight)];
      const run = (name: "y" | "dx" | "dw"): number[] => {
        if (name === "y") {
          const op = conv2dOverride(runtime);
          op.run({ variant: op.select([vx, vw], attrs)!, inputs: [vx, vw], outputs: [outY], attrs });
          return runtime.read(outY);
        }
        if (name === "dx") {
          const [op, all] = [conv2dInputGradOverride(runtime), { ...attrs, inputSize: [6, 10] } as const];
          op.run({ variant: op.select([vy, vw], all)!, inputs: [vy, vw], outputs: [outX], attrs: all });
          return runtime.read(outX);
        }
        const [op, all] = [conv2dWeightGradOverride(runtime), { ...attrs, kernelSize: [3, 3] } as const];
        op.run({ variant: op.select([vy, vx], all)!, inputs: [vy, vx], outputs: [outW], attrs: all });
        return runtime.read(outW);
      };
      for (const name of ["y", "dx", "dw"] as const) {
        const got = run(name).map(Number.isFinite);
        expect(got, name).toEqual(expected[name].values.map(Number.isFinite));
      }
    }
  });

  it("runs the kernels meant for D-FINE's layers", () => {
    const variant = (test: Case) => {
      const runtime = new TestRuntime();
      const { x, weight } = shapes(test);
      return conv2dOverride(runtime).select([runtime.view(x), runtime.view(weight)], attrsOf(test));
    };
    expect(variant({ x: [1, 64, 4, 4], kernel: [32, 1, 1] })).toBe("pointwise");
    expect(variant({ x: [1, 64, 4, 4], kernel: [64, 5, 5], padding: two, groups: 64 })).toBe("depthwise");
    expect(variant({ x: [1, 3, 8, 8], kernel: [16, 3, 3], padding: one, stride: [2, 2] })).toBe("windows");
  });
});
