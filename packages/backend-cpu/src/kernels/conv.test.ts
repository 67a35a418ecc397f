import {
  type ConvCase,
  type ConvCases,
  type ConvData,
  type ConvResults,
  convActProperties,
  convAttrs,
  convProperties,
  convShapes,
} from "../../../tensor/test/convProperties.ts";
import { TestRuntime } from "../../test/hostileRuntime.ts";
import { runOverride } from "../../test/kernelKit.ts";
import { conv2dOverrides } from "./conv2d.ts";
import { conv2dWeightGradOverride } from "./conv2dWeightGrad.ts";

// More images than are padded at a time.
const CASES: ConvCases = { runs: 150, more: [{ x: [3, 40, 100, 99], kernel: [1, 3, 3], padding: [1, 1, 1, 1] }] };

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
