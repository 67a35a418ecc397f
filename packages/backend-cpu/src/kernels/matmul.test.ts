import type { View } from "@dfine/tensor/kernel";
import {
  type MatmulCase,
  type MatmulData,
  matmulProperties,
  productShape,
  spreadOut,
  swapLast,
} from "../../../tensor/test/matmulProperties.ts";
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
