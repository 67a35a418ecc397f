import fc from "fast-check";
import { expect, it } from "vitest";
import {
  anyConv,
  type ConvCase,
  type ConvCases,
  type ConvData,
  type ConvResults,
  convActProperties,
  convAttrs,
  convData,
  convOracles,
  convProperties,
  convShapes,
} from "../../../tensor/test/convProperties.ts";
import { TestRuntime } from "../../test/hostileRuntime.ts";
import { runOverride } from "../../test/kernelKit.ts";
import { conv2dOverrides } from "./conv2d.ts";
import { conv2dWeightGradOverride } from "./conv2dWeightGrad.ts";

const one = [1, 1, 1, 1] as const;

/** Sizes at which 2×2 blocks of outputs are computed at a time: blocks cut off, any padding, other numbers of channels. */
const inBlocks: fc.Arbitrary<ConvCase> = fc.record({
  x: fc.tuple(
    fc.integer({ min: 1, max: 2 }),
    fc.integer({ min: 16, max: 21 }),
    fc.integer({ min: 10, max: 15 }),
    fc.integer({ min: 10, max: 19 }),
  ),
  kernel: fc.integer({ min: 16, max: 21 }).map((channels) => [channels, 3, 3] as const),
  padding: fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3), fc.nat(3)),
});

const CASES: ConvCases = {
  runs: 170,
  any: fc.oneof({ weight: 9, arbitrary: anyConv }, { weight: 1, arbitrary: inBlocks }),
  more: [
    // More images than are padded at a time.
    { x: [3, 40, 100, 99], kernel: [1, 3, 3], padding: one },
    // In blocks of 2×2: several units of several panels, sums in parts both ways, a single row of outputs.
    { x: [2, 34, 41, 39], kernel: [18, 3, 3], padding: one },
    { x: [1, 200, 10, 10], kernel: [16, 3, 3], padding: one },
    { x: [1, 16, 10, 10], kernel: [197, 3, 3], padding: one },
    { x: [2, 16, 3, 40], kernel: [16, 3, 3] },
    // Several blocks of channels both ways, the last ones cut off.
    { x: [2, 66, 10, 10], kernel: [67, 3, 3], padding: one },
  ],
};

function run(test: ConvCase, data: ConvData): ConvResults<number[]>[] {
  const attrs = convAttrs(test);
  const { x, weight, y } = convShapes(test);
  const all = { y: [] as number[][], dx: [] as number[][], dw: [] as number[][] };
  runOverride<"conv2d">(
    (runtime) => conv2dOverrides(runtime).conv2d,
    {
      inputs: (runtime) => [runtime.view(x, data.x), runtime.view(weight, data.weight)],
      outputs: (runtime) => [runtime.view(y)],
      attrs,
    },
    ([got]) => all.y.push(got!),
  );
  runOverride<"conv2dInputGrad">(
    (runtime) => conv2dOverrides(runtime).conv2dInputGrad,
    {
      inputs: (runtime) => [runtime.view(y, data.dy), runtime.view(weight, data.weight)],
      outputs: (runtime) => [runtime.view(x)],
      attrs: { ...attrs, inputSize: [x[2], x[3]] },
    },
    ([got]) => all.dx.push(got!),
  );
  runOverride<"conv2dWeightGrad">(
    conv2dWeightGradOverride,
    {
      inputs: (runtime) => [runtime.view(y, data.dy), runtime.view(x, data.x)],
      outputs: (runtime) => [runtime.view(weight)],
      attrs: { ...attrs, kernelSize: [weight[2], weight[3]] },
    },
    ([got]) => all.dw.push(got!),
  );
  return all.y.map((result, i) => ({ y: result, dx: all.dx[i]!, dw: all.dw[i]! }));
}

convProperties(
  {
    run,
    chosen: (test) => {
      const runtime = new TestRuntime();
      const { x, weight } = convShapes(test);
      return [conv2dOverrides(runtime).conv2d.select([runtime.view(x), runtime.view(weight)], convAttrs(test))!];
    },
  },
  CASES,
);

it("computes 3×3 layers of many channels in blocks of 2×2, and their gradients too", () => {
  const runtime = new TestRuntime();
  const { conv2d, conv2dInputGrad } = conv2dOverrides(runtime);
  const weightGrad = conv2dWeightGradOverride(runtime);
  const chosen = ({ x, ...test }: ConvCase) => {
    const shapes = convShapes({ x, ...test });
    const [input, weight, dy] = [runtime.view(x), runtime.view(shapes.weight), runtime.view(shapes.y)];
    const sizes = { inputSize: [x[2], x[3]], kernelSize: [shapes.weight[2], shapes.weight[3]] } as const;
    const attrs = { ...convAttrs({ x, ...test }), ...sizes };
    const gradients = [conv2dInputGrad.select([dy, weight], attrs), weightGrad.select([dy, input], attrs)];
    return [conv2d.select([input, weight], attrs), ...gradients];
  };
  const layer: ConvCase = { x: [1, 32, 20, 20], kernel: [64, 3, 3], padding: one };
  expect(chosen(layer)).toEqual(["winograd", "winograd", "winograd"]);
  for (const other of [{ stride: [2, 2] }, { dilation: [2, 2] }, { groups: 2 }, { kernel: [64, 3, 1] }] as const)
    expect(chosen({ ...layer, ...other })).toEqual(["windows", "windows", "windows"]);
});

convActProperties((test, data) => {
  const { x, weight, y } = convShapes(test);
  const results: number[][] = [];
  runOverride<"conv2dAct">(
    (runtime) => conv2dOverrides(runtime).conv2dAct,
    {
      inputs: (runtime) => [
        runtime.view(x, data.x),
        runtime.view(weight, data.weight),
        ...[data.bias, data.factor].map((values) => runtime.view([y[1]], values)),
        ...[data.scale, data.shift].map((value) => runtime.view([1], [value])),
      ],
      outputs: (runtime) => [runtime.view(y)],
      attrs: { ...convAttrs(test), activation: "relu" },
    },
    ([got]) => results.push(got!),
  );
  return results;
}, CASES);

it("in blocks of 2×2, NaN reaches the elements whose sums it is in, and none outside their blocks", () => {
  const test: ConvCase = { x: [1, 16, 11, 14], kernel: [16, 3, 3], padding: one };
  const data = convData(test);
  const at = 5 * 14 + 6;
  data.x[at] = data.dy[at] = Number.NaN;
  const expected = convOracles(test, data);
  const areNaN = (array: ArrayLike<number>) => Array.from(array, Number.isNaN);
  for (const results of run(test, data)) {
    // A pixel inside the map meets all taps of its channels' weights.
    expect(areNaN(results.dw)).toEqual(areNaN(expected.dw.values));
    for (const name of ["y", "dx"] as const) {
      const isNaNIn = (array: ArrayLike<number>, row: number, column: number) => Number.isNaN(array[row * 14 + column]);
      for (let row = 0; row < 11; row++)
        for (let column = 0; column < 14; column++) {
          const isHit = isNaNIn(results[name], row, column);
          if (isNaNIn(expected[name].values, row, column)) expect(isHit, `${name} ${row} ${column}`).toBe(true);
          // Rows 4…6 and columns 5…7 see it: their blocks are rows 4…7 and columns 4…7.
          else if (isHit)
            expect(row >= 4 && row < 8 && column >= 4 && column < 8, `${name} ${row} ${column}`).toBe(true);
        }
    }
  }
});
