import { pooledShape, poolProperties } from "../../../tensor/test/poolProperties.ts";
import { runOverride } from "../../test/kernelKit.ts";
import { maxPool2dOverride } from "./maxPool2d.ts";
import { maxPool2dGradOverride } from "./maxPool2dGrad.ts";

poolProperties(
  {
    async pool(test, x) {
      const results: { values: number[]; indices: number[] }[] = [];
      const shape = pooledShape(test);
      runOverride<"maxPool2d">(
        maxPool2dOverride,
        {
          inputs: (runtime) => [runtime.view(test.shape, x)],
          outputs: (runtime) => [runtime.view(shape), runtime.view(shape, undefined, "i32")],
          attrs: test,
        },
        ([values, indices]) => results.push({ values: values!, indices: indices! }),
      );
      return results;
    },
    async poolGrad(test, { dy, indices }) {
      const results: number[][] = [];
      const shape = pooledShape(test);
      runOverride<"maxPool2dGrad">(
        maxPool2dGradOverride,
        {
          inputs: (runtime) => [runtime.view(shape, dy), runtime.view(shape, indices, "i32")],
          outputs: (runtime) => [runtime.view(test.shape)],
          attrs: { inputSize: [test.shape[2], test.shape[3]] },
        },
        ([dx]) => results.push(dx!),
      );
      return results;
    },
  },
  { runs: 120 },
);
