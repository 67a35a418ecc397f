import type { Conv2dInputGradAttrs } from "@dfine/tensor";
import { inputGradAxes, type Override, shape4, type View } from "@dfine/tensor/kernel";
import { asMatrices } from "./conv2d.ts";
import { convVariant } from "./convVariant.ts";
import { convWindows } from "./convWindows.ts";
import { depthwise } from "./depthwise.ts";
import { multiplyViews } from "./matmul.ts";
import type { GpuRuntime } from "./runtime.ts";

export const conv2dInputGradOverride = (runtime: GpuRuntime): Override<Conv2dInputGradAttrs> => ({
  select: ([, weight], attrs) => convVariant(attrs, shape4(weight!)),
  run({ variant, inputs, outputs, attrs }) {
    const [dy, weight, dx] = [inputs[0]!, inputs[1]!, outputs[0]!];
    if (variant === "pointwise") {
      pointwise(runtime, { dy, weight, dx });
      return;
    }
    const [co, ci, kh, kw] = shape4(weight);
    const { groups } = attrs;
    const kernel = kh * kw;
    const weightStrides = { group: (co / groups) * ci * kernel, row: kernel, channel: ci * kernel };
    for (const y of inputGradAxes(attrs, { side: 0, kernel: kh }))
      for (const x of inputGradAxes(attrs, { side: 1, kernel: kw }))
        if (variant === "depthwise") depthwise(runtime, { weight, x: dy, c: dx, axes: [y, x] });
        else convWindows(runtime, { weight, x: dy, c: dx, groups, axes: [y, x], weightStrides });
  },
});

/** A product [Ci, Co] · [Co, H·W] for each image. */
function pointwise(runtime: GpuRuntime, { dy, weight, dx }: { dy: View; weight: View; dx: View }): void {
  const matrix = asMatrices(weight, 0);
  const transposed = { ...matrix, shape: [...matrix.shape].reverse(), strides: [...matrix.strides].reverse() };
  multiplyViews(runtime, { a: transposed, b: asMatrices(dy, 1), c: asMatrices(dx, 1) });
}
