import type { View } from "@dfine/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TestRuntime } from "../../test/hostileRuntime.ts";
import { expectClose, numbers, type Oracle, runOverride } from "../../test/kernelKit.ts";
import { matmulOverride } from "./matmul.ts";

interface Case {
  readonly a: readonly number[];
  readonly b: readonly number[];
  /** Stored transposed. */
  readonly transposed: readonly [boolean, boolean];
  /** Only every second element of what is stored. */
  readonly spread?: boolean;
}

const swapLast = (list: readonly number[]): number[] => [...list.slice(0, -2), list.at(-1)!, list.at(-2)!];

function stored(
  runtime: TestRuntime,
  shape: readonly number[],
  options: { transposed: boolean; spread: boolean; data: Float32Array },
): View {
  const { transposed, spread, data } = options;
  const kept = transposed ? swapLast(shape) : [...shape];
  const view = spread
    ? runtime.view([...kept, 2], data.length ? Array.from(data).flatMap((x) => [x, Number.NaN]) : [])
    : runtime.view(kept, data);
  const strides = spread ? view.strides.slice(0, -1) : view.strides;
  return { ...view, shape, strides: transposed ? swapLast(strides) : strides };
}

/** Element (…index) of the matrix stored in `data`, with size-1 axes repeated. */
function element(
  data: Float32Array,
  { shape, transposed }: { shape: readonly number[]; transposed: boolean },
  index: readonly number[],
): number {
  const own = index.slice(index.length - shape.length).map((i, axis) => (shape[axis] === 1 ? 0 : i));
  const place = transposed ? swapLast(own) : own;
  const sizes = transposed ? swapLast(shape) : shape;
  return data[place.reduce((at, i, axis) => at * sizes[axis]! + i, 0)]!;
}

function oracle(
  { a, b, transposed }: Case,
  [da, db]: readonly [Float32Array, Float32Array],
): Oracle & { shape: number[] } {
  const rank = Math.max(a.length, b.length);
  const batch = Array.from({ length: rank - 2 }, (_, i) =>
    Math.max(a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1),
  );
  const shape = [...batch, a.at(-2)!, b.at(-1)!];
  const values: number[] = [];
  const magnitudes: number[] = [];
  const size = shape.reduce((x, y) => x * y, 1);
  for (let flat = 0; flat < size; flat++) {
    const index: number[] = [];
    let rest = flat;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = rest % shape[axis]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    const [row, column] = [index.at(-2)!, index.at(-1)!];
    let [sum, magnitude] = [0, 0];
    for (let k = 0; k < a.at(-1)!; k++) {
      const term =
        element(da, { shape: a, transposed: transposed[0] }, [...index.slice(0, -2), row, k]) *
        element(db, { shape: b, transposed: transposed[1] }, [...index.slice(0, -2), k, column]);
      sum += term;
      magnitude += Math.abs(term);
    }
    values.push(sum);
    magnitudes.push(magnitude);
  }
  return { values, magnitudes, shape };
}

function check(test: Case): void {
  const size = (shape: readonly number[]) => shape.reduce((x, y) => x * y, 1);
  const data = [numbers(size(test.a), 1), numbers(size(test.b), 2)] as const;
  const expected = oracle(test, data);
  const spread = test.spread ?? false;
  runOverride<"matmul">(
    matmulOverride,
    {
      inputs: (runtime) => [
        stored(runtime, test.a, { transposed: test.transposed[0], spread, data: data[0] }),
        stored(runtime, test.b, { transposed: test.transposed[1], spread, data: data[1] }),
      ],
      outputs: (runtime) => [runtime.view(expected.shape)],
      attrs: {},
    },
    ([c]) => expectClose(c!, expected),
  );
}

const TRANSPOSED = [
  [false, false],
  [true, false],
  [false, true],
  [true, true],
] as const;

describe.each(TRANSPOSED)("matmul, a stored transposed: %s, b: %s", (...transposed) => {
  it.each([
    [
      [3, 4],
      [4, 5],
    ],
    [
      [1, 1],
      [1, 1],
    ],
    [
      [17, 65],
      [65, 33],
    ],
    [
      [65, 17],
      [17, 1],
    ],
    [
      [1, 33],
      [33, 17],
    ],
    [
      [2, 3, 5, 7],
      [2, 3, 7, 4],
    ],
    [
      [2, 1, 5, 7],
      [3, 7, 4],
    ],
    [
      [2, 3, 9, 8],
      [8, 16],
    ],
    [
      [3, 1, 40],
      [1, 40, 12],
    ],
    [
      [5, 8, 3],
      [2, 1, 3, 9],
    ],
    // More than one segment of the summed axis, and units in either direction.
    [
      [6, 2100],
      [2100, 9],
    ],
    [
      [201, 130],
      [130, 60],
    ],
    [
      [40, 130],
      [130, 275],
    ],
    [
      [3, 0],
      [0, 5],
    ],
  ])("%j · %j", (a, b) => check({ a, b, transposed }));

  it("any sizes, batches and spacing", () => {
    const size = fc.integer({ min: 1, max: 70 });
    const axis = fc.constantFrom(1, 2);
    fc.assert(
      fc.property(
        fc.tuple(size, size, size),
        fc.array(axis, { maxLength: 2 }),
        fc.array(axis, { maxLength: 2 }),
        fc.boolean(),
        ([m, k, n], p, q, spread) => {
          check({ a: [...p, m, k], b: [...q, k, n], transposed, spread });
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe("matmul", () => {
  it("lets NaN and infinity through to their row and column only", () => {
    const runtime = new TestRuntime();
    const a = new Float32Array(6 * 7).fill(1);
    const b = new Float32Array(7 * 9).fill(1);
    a[2 * 7 + 3] = Number.NaN;
    b[4 * 9 + 5] = Number.POSITIVE_INFINITY;
    const c = runtime.view([6, 9]);
    matmulOverride(runtime).run({
      variant: "gemm",
      inputs: [runtime.view([6, 7], a), runtime.view([7, 9], b)],
      outputs: [c],
      attrs: {},
    });
    const values = runtime.read(c);
    for (let i = 0; i < 6; i++)
      for (let j = 0; j < 9; j++)
        expect(values[i * 9 + j]).toBe(i === 2 ? Number.NaN : j === 5 ? Number.POSITIVE_INFINITY : 7);
  });
});
