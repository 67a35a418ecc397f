import { type MaxPool2dAttrs, maxPool2d, type OpAttrs, type Tensor, type TypedArray, tensor } from "@dfine/tensor";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { numbers } from "../../../tensor/test/sums.ts";
import { bothKinds, evaluate, f32, type Input, i32, reference } from "../../test/opKit.ts";
import type { WebGpuBackend } from "../backend.ts";

const kinds = await bothKinds();
afterAll(() => {
  for (const [, backend] of kinds) backend.dispose();
});

interface Case extends MaxPool2dAttrs {
  readonly shape: readonly [number, number, number, number];
}

function outputSize({ shape, kernelSize, stride, padding, ceilMode }: Case): [number, number] {
  const along = (i: 0 | 1): number => {
    const room = (shape[2 + i]! + 2 * padding[i] - kernelSize[i]) / stride[i];
    const n = (ceilMode ? Math.ceil(room) : Math.floor(room)) + 1;
    return ceilMode && (n - 1) * stride[i] >= shape[2 + i]! + padding[i] ? n - 1 : n;
  };
  return [along(0), along(1)];
}

/** The first of the largest elements of each window that lie inside; NaN is largest. */
function pooled(test: Case, x: ArrayLike<number>): { values: number[]; indices: number[] } {
  const [b, c, h, w] = test.shape;
  const [ho, wo] = outputSize(test);
  const [values, indices]: [number[], number[]] = [[], []];
  for (let plane = 0; plane < b * c; plane++)
    for (let oy = 0; oy < ho; oy++)
      for (let ox = 0; ox < wo; ox++) {
        const positions: number[] = [];
        for (let ky = 0; ky < test.kernelSize[0]; ky++)
          for (let kx = 0; kx < test.kernelSize[1]; kx++) {
            const [y, column] = [
              oy * test.stride[0] + ky - test.padding[0],
              ox * test.stride[1] + kx - test.padding[1],
            ];
            if (y >= 0 && y < h && column >= 0 && column < w) positions.push(y * w + column);
          }
        const at = (position: number): number => x[plane * h * w + position]!;
        const largest = Math.max(...positions.map(at));
        const winner = positions.find((position) => Object.is(at(position), largest) || at(position) === largest)!;
        values.push(at(winner));
        indices.push(winner);
      }
  return { values, indices };
}

/** Runs an override on tensors of its own: any attributes, also those that no public op has. */
function runOverride<Name extends keyof OpAttrs>(
  backend: WebGpuBackend,
  name: Name,
  call: { inputs: readonly Input[]; outputs: readonly Input[]; attrs: OpAttrs[Name] },
): Promise<TypedArray[]> {
  const make = ({ values, shape }: Input): Tensor => tensor(values, shape, { backend });
  const [inputs, outputs] = [call.inputs.map(make), call.outputs.map(make)];
  const override = backend.overrides[name]!;
  const views = inputs.map((input) => input.view);
  const variant = override.select(views, call.attrs)!;
  override.run({ variant, inputs: views, outputs: outputs.map((output) => output.view), attrs: call.attrs });
  return Promise.all(outputs.map((output) => output.data()));
}

const length = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

describe.each(kinds)("maxPool2d and its gradient, %s", (_, backend) => {
  async function check(test: Case, x: ArrayLike<number>): Promise<void> {
    const shape = [...test.shape.slice(0, 2), ...outputSize(test)];
    const blank = new Float32Array(length(shape)).fill(Number.NaN);
    const expected = pooled(test, Float32Array.from(x));
    const [values, indices] = await runOverride(backend, "maxPool2d", {
      inputs: [f32(x, test.shape)],
      outputs: [f32(blank, shape), i32(blank, shape)],
      attrs: test,
    });
    expect([...values!]).toEqual(expected.values);
    expect([...indices!]).toEqual(expected.indices);

    const dy = numbers(blank.length, 5);
    const size = test.shape[2] * test.shape[3];
    const sums = new Float32Array(length(test.shape));
    const perPlane = shape[2]! * shape[3]!;
    for (const [i, at] of expected.indices.entries()) sums[Math.floor(i / perPlane) * size + at]! += dy[i]!;
    const [dx] = await runOverride(backend, "maxPool2dGrad", {
      inputs: [f32(dy, shape), i32(expected.indices, shape)],
      outputs: [f32(new Float32Array(sums.length).fill(Number.NaN), test.shape)],
      attrs: { inputSize: [test.shape[2], test.shape[3]] },
    });
    expect(dx).toEqual(sums);
  }

  it("the stem's: 2×2, stride 1", async () => {
    const test: Case = { shape: [2, 3, 17, 21], kernelSize: [2, 2], stride: [1, 1], padding: [0, 0], ceilMode: true };
    await check(test, numbers(2 * 3 * 17 * 21));
  });

  it("any window, with ties, infinities and NaN", async () => {
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
      const count = length(test.shape);
      return fc.tuple(fc.constant(test), fc.array(value, { minLength: count, maxLength: count }));
    });
    await fc.assert(
      fc.asyncProperty(withData, ([test, data]) => check(test, data)),
      { numRuns: 60 },
    );
  });

  it("a window of −∞ only has its first element", async () => {
    const test: Case = { shape: [1, 1, 4, 9], kernelSize: [3, 3], stride: [1, 1], padding: [1, 1], ceilMode: false };
    await check(test, new Array<number>(36).fill(-Infinity));
  });

  it("writes nothing but its outputs, and agrees with the reference", async () => {
    const input = f32(
      numbers(2 * 3 * 13 * 11).map((v) => Math.round(v * 3) + 0),
      [2, 3, 13, 11],
    );
    const run = ([x]: readonly Tensor[]) => [maxPool2d(x!, 3, { stride: 2, padding: 1 })];
    expect(await evaluate(backend, [input], run)).toEqual(await evaluate(reference, [input], run));
  });

  it("drops indices outside the plane", async () => {
    const [dx] = await runOverride(backend, "maxPool2dGrad", {
      inputs: [f32([1, 2, 3, 4, 5, 6], [1, 1, 2, 3]), i32([-1, 3, 4, 0, 3, 2 ** 31 - 1], [1, 1, 2, 3])],
      outputs: [f32(new Float32Array(4).fill(Number.NaN), [1, 1, 2, 2])],
      attrs: { inputSize: [2, 2] },
    });
    expect([...dx!]).toEqual([4, 0, 0, 7]);
  });
});
