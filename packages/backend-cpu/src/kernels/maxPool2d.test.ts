import type { MaxPool2dAttrs } from "@dfine/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expectClose, numbers } from "../../../tensor/test/sums.ts";
import { runOverride } from "../../test/kernelKit.ts";
import { maxPool2dOverride } from "./maxPool2d.ts";
import { maxPool2dGradOverride } from "./maxPool2dGrad.ts";

interface Case {
  readonly shape: readonly [number, number, number, number];
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly ceilMode: boolean;
}

function outputSize({ shape, kernelSize, stride, padding, ceilMode }: Case): [number, number] {
  const along = (i: 0 | 1): number => {
    const room = (shape[2 + i]! + 2 * padding[i] - kernelSize[i]) / stride[i];
    const n = (ceilMode ? Math.ceil(room) : Math.floor(room)) + 1;
    return ceilMode && (n - 1) * stride[i] >= shape[2 + i]! + padding[i] ? n - 1 : n;
  };
  return [along(0), along(1)];
}

function oracle(test: Case, x: ArrayLike<number>): { values: number[]; indices: number[] } {
  const [b, c, h, w] = test.shape;
  const [ho, wo] = outputSize(test);
  const values: number[] = [];
  const indices: number[] = [];
  for (let plane = 0; plane < b * c; plane++)
    for (let oy = 0; oy < ho; oy++)
      for (let ox = 0; ox < wo; ox++) {
        const inside: { at: number; value: number }[] = [];
        for (let ky = 0; ky < test.kernelSize[0]; ky++)
          for (let kx = 0; kx < test.kernelSize[1]; kx++) {
            const [y, column] = [
              oy * test.stride[0] + ky - test.padding[0],
              ox * test.stride[1] + kx - test.padding[1],
            ];
            if (y < 0 || y >= h || column < 0 || column >= w) continue;
            inside.push({ at: y * w + column, value: x[(plane * h + y) * w + column]! });
          }
        const nan = inside.find(({ value }) => Number.isNaN(value));
        const largest = Math.max(...inside.map(({ value }) => value));
        const winner = nan ?? inside.find(({ value }) => value === largest)!;
        values.push(winner.value);
        indices.push(winner.at);
      }
  return { values, indices };
}

function check(test: Case, x: ArrayLike<number>): void {
  const shape = [...test.shape.slice(0, 2), ...outputSize(test)];
  const expected = oracle(test, x);
  runOverride<"maxPool2d">(
    maxPool2dOverride,
    {
      inputs: (runtime) => [runtime.view(test.shape, x)],
      outputs: (runtime) => [runtime.view(shape), runtime.view(shape, undefined, "i32")],
      attrs: test satisfies MaxPool2dAttrs,
    },
    ([values, indices]) => {
      expect(values).toEqual(expected.values);
      expect(indices).toEqual(expected.indices);
    },
  );
  const dy = numbers(expected.values.length, 5);
  const size = test.shape[2] * test.shape[3];
  const perPlane = shape[2]! * shape[3]!;
  const values = new Array<number>(test.shape[0] * test.shape[1] * size).fill(0);
  const magnitudes = [...values];
  expected.indices.forEach((at, i) => {
    const place = Math.floor(i / perPlane) * size + at;
    values[place]! += dy[i]!;
    magnitudes[place]! += Math.abs(dy[i]!);
  });
  runOverride<"maxPool2dGrad">(
    maxPool2dGradOverride,
    {
      inputs: (runtime) => [runtime.view(shape, dy), runtime.view(shape, expected.indices, "i32")],
      outputs: (runtime) => [runtime.view(test.shape)],
      attrs: { inputSize: [test.shape[2], test.shape[3]] },
    },
    ([dx]) => expectClose(dx!, { values, magnitudes }),
  );
}

describe("maxPool2d and its gradient", () => {
  it("the stem's: 2×2, stride 1", () => {
    const test: Case = { shape: [2, 3, 17, 21], kernelSize: [2, 2], stride: [1, 1], padding: [0, 0], ceilMode: true };
    check(test, numbers(2 * 3 * 17 * 21));
  });

  it("any window, with ties, infinities and NaN", () => {
    const small = (max: number) => fc.integer({ min: 1, max });
    const cases = fc
      .record({
        shape: fc.tuple(small(2), small(3), small(9), small(15)),
        kernelSize: fc.tuple(small(4), small(4)),
        stride: fc.tuple(small(3), small(3)),
        padding: fc.tuple(fc.nat(2), fc.nat(2)),
        ceilMode: fc.boolean(),
      })
      .filter(
        (test) =>
          [0, 1].every((i) => test.padding[i]! * 2 <= test.kernelSize[i]!) && outputSize(test).every((n) => n >= 1),
      );
    const value = fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: -2, max: 2 }) },
      { weight: 1, arbitrary: fc.constantFrom(Number.NaN, Infinity, -Infinity) },
    );
    const withData = cases.chain((test) => {
      const length = test.shape.reduce((a, b) => a * b, 1);
      return fc.tuple(fc.constant(test), fc.array(value, { minLength: length, maxLength: length }));
    });
    fc.assert(
      fc.property(withData, ([test, data]) => check(test, data)),
      { numRuns: 120 },
    );
  });

  it("a window of −∞ only has its first element", () => {
    const test: Case = { shape: [1, 1, 4, 9], kernelSize: [3, 3], stride: [1, 1], padding: [1, 1], ceilMode: false };
    check(test, new Array<number>(36).fill(-Infinity));
  });
});
