import { type MaxPool2dAttrs, sizeOf } from "@dfine/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { atLeastOne, numbers } from "./sums.ts";

export interface PoolCase extends MaxPool2dAttrs {
  /** B, C, H, W */
  readonly shape: readonly [number, number, number, number];
}

export function pooledShape({ shape, kernelSize, stride, padding, ceilMode }: PoolCase): number[] {
  const along = (i: 0 | 1): number => {
    const room = (shape[2 + i]! + 2 * padding[i] - kernelSize[i]) / stride[i];
    const n = (ceilMode ? Math.ceil(room) : Math.floor(room)) + 1;
    return ceilMode && (n - 1) * stride[i] >= shape[2 + i]! + padding[i] ? n - 1 : n;
  };
  return [shape[0], shape[1], along(0), along(1)];
}

/** The first of the largest elements of each window that lie inside; NaN is largest. */
function pooled(test: PoolCase, x: ArrayLike<number>): { values: number[]; indices: number[] } {
  const [b, c, h, w] = test.shape;
  const [, , ho, wo] = pooledShape(test) as [number, number, number, number];
  const [values, indices]: [number[], number[]] = [[], []];
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

type Numbers = ArrayLike<number>;
/** Results, one for each kind of the backend. */
export interface PoolSubject {
  pool(test: PoolCase, x: Numbers): Promise<readonly { readonly values: Numbers; readonly indices: Numbers }[]>;
  poolGrad(test: PoolCase, given: { readonly dy: Numbers; readonly indices: Numbers }): Promise<readonly Numbers[]>;
}

const small = (max: number) => fc.integer({ min: 1, max });
const anyCase: fc.Arbitrary<PoolCase> = fc
  .record({
    shape: fc.tuple(small(2), small(3), small(9), small(15)),
    kernelSize: fc.tuple(small(4), small(4)),
    stride: fc.tuple(small(3), small(3)),
    padding: fc.tuple(fc.nat(2), fc.nat(2)),
    ceilMode: fc.boolean(),
  })
  .filter(
    (test) =>
      [0, 1].every((i) => test.padding[i]! * 2 <= test.kernelSize[i]!) && pooledShape(test).every((n) => n >= 1),
  );
const value = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: -2, max: 2 }) },
  { weight: 1, arbitrary: fc.constantFrom(Number.NaN, Infinity, -Infinity) },
);

/** Tests of max pooling and its gradient against loops over windows. */
export function poolProperties({ pool, poolGrad }: PoolSubject, { runs }: { readonly runs: number }): void {
  async function check(test: PoolCase, x: Numbers): Promise<void> {
    const expected = pooled(test, x);
    for (const { values, indices } of atLeastOne(await pool(test, x))) {
      expect(Array.from(values)).toEqual(expected.values);
      expect(Array.from(indices)).toEqual(expected.indices);
    }
    const dy = numbers(expected.values.length, 5);
    const size = test.shape[2] * test.shape[3];
    const perPlane = sizeOf(pooledShape(test).slice(2));
    // In order, in single precision: the result is defined to the bit.
    const sums = new Float32Array(sizeOf(test.shape));
    for (const [i, at] of expected.indices.entries()) sums[Math.floor(i / perPlane) * size + at]! += dy[i]!;
    for (const dx of atLeastOne(await poolGrad(test, { dy, indices: expected.indices })))
      expect(Array.from(dx)).toEqual(Array.from(sums));
  }

  describe("maxPool2d and its gradient", () => {
    it("the stem's: 2×2, stride 1", () =>
      check(
        { shape: [2, 3, 17, 21], kernelSize: [2, 2], stride: [1, 1], padding: [0, 0], ceilMode: true },
        numbers(2 * 3 * 17 * 21),
      ));

    it("any window, with ties, infinities and NaN", () => {
      const withData = anyCase.chain((test) => {
        const length = sizeOf(test.shape);
        return fc.tuple(fc.constant(test), fc.array(value, { minLength: length, maxLength: length }));
      });
      return fc.assert(
        fc.asyncProperty(withData, ([test, data]) => check(test, data)),
        { numRuns: runs },
      );
    });

    it("a window of −∞ only has its first element", () =>
      check(
        { shape: [1, 1, 4, 9], kernelSize: [3, 3], stride: [1, 1], padding: [1, 1], ceilMode: false },
        new Array<number>(36).fill(-Infinity),
      ));
  });
}
