import { type Epilogue, type Expr, row, type View } from "@dfine/tensor/kernel";
import fc from "fast-check";
import { expect, it } from "vitest";
import {
  type MatmulCase,
  type MatmulData,
  matmulProperties,
  productShape,
  spreadOut,
  swapLast,
} from "../../../tensor/test/matmulProperties.ts";
import { numbers } from "../../../tensor/test/sums.ts";
import type { TestRuntime } from "../../test/hostileRuntime.ts";
import { runOverride } from "../../test/kernelKit.ts";
import { matmulOverride } from "./matmul.ts";

function run(test: MatmulCase, data: MatmulData): number[][] {
  const { a, b, transposed = [false, false], spread = false } = test;
  const stored = (runtime: TestRuntime, shape: readonly number[], factor: 0 | 1): View => {
    const kept = transposed[factor] ? swapLast(shape) : [...shape];
    const view = spread ? runtime.view([...kept, 2], spreadOut(data[factor])) : runtime.view(kept, data[factor]);
    const strides = spread ? view.strides.slice(0, -1) : view.strides;
    return { ...view, shape, strides: transposed[factor] ? swapLast(strides) : strides };
  };
  const products: number[][] = [];
  runOverride<"matmul">(
    matmulOverride,
    {
      inputs: (runtime) => [stored(runtime, a, 0), stored(runtime, b, 1)],
      outputs: (runtime) => [runtime.view(productShape(test))],
      attrs: {},
    },
    ([product]) => products.push(product!),
  );
  return products;
}

matmulProperties(run, { runs: 100 });

const PER = ["channel", "column", "element", "all"] as const;
/** ((sum + channel's) · column's + element's) less what is 0, perhaps by a function whose code is long. */
const EXPRESSIONS: readonly Expr[] = [row(0), row(0).sigmoid().mul(0)].map((last, isLong) =>
  row(0)
    .add(row(1))
    .mul(row(2))
    .add(row(3))
    .max(row(4))
    .sub(isLong ? last : 0),
);
const size = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(16, 96, 193));

it("finishes its sums with what has an element for a row, a column, each of them or all", () => {
  fc.assert(
    fc.property(size, size, fc.constantFrom(3, 70, 400), fc.boolean(), fc.constantFrom(...EXPRESSIONS), (...drawn) => {
      const [m, n, k, isTransposed, expression] = drawn;
      const b = numbers(2 * k * n, 2);
      const sizes = { channel: m, column: n, element: 2 * m * n, all: 1 };
      const values = PER.map((per, i) => numbers(sizes[per], 3 + i));
      const product = (epilogue?: (runtime: TestRuntime) => Epilogue): number[] => {
        let results: number[] = [];
        runOverride<"matmul">(
          matmulOverride,
          {
            inputs: (runtime) => {
              const right = runtime.view(isTransposed ? [2, n, k] : [2, k, n], b);
              return [
                runtime.view([2, m, k], numbers(2 * m * k, 1)),
                isTransposed ? { ...right, shape: [2, k, n], strides: swapLast(right.strides) } : right,
              ];
            },
            outputs: (runtime) => [runtime.view([2, m, n])],
            attrs: {},
            ...(epilogue && { epilogue }),
          },
          ([own]) => {
            results = own!;
          },
        );
        return results;
      };
      const finished = product((runtime) => ({
        ...{ name: "", expression, channels: m },
        operands: PER.map((per, i) => ({ name: "", per, view: runtime.view([sizes[per]], values[i]!) })),
      }));
      const [channel, column, element, all] = values as [Float32Array, Float32Array, Float32Array, Float32Array];
      const expected = product().map((sum, i) => {
        const scaled = Math.fround(Math.fround(sum + channel[Math.floor(i / n) % m]!) * column[i % n]!);
        return Math.max(Math.fround(scaled + element[i]!), all[0]!);
      });
      expect(finished).toEqual(expected);
    }),
    { numRuns: 60 },
  );
});

it.each([
  [700, 200, 400],
  [403, 500, 330],
  [1201, 193, 100],
])("leaves the last rows of large units for the end: %i × %i × %i", (m, k, n) => {
  let products = 0;
  runOverride<"matmul">(
    matmulOverride,
    {
      inputs: (runtime) => [runtime.view([m, k], numbers(m * k, 1)), runtime.view([k, n], numbers(k * n, 2))],
      outputs: (runtime) => [runtime.view([m, n])],
      attrs: {},
    },
    ([product]) => {
      products++;
      expect(product!.some(Number.isNaN)).toBe(false);
    },
  );
  expect(products).toBeGreaterThan(0);
});
