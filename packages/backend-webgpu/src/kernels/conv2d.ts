import type { Conv2dActAttrs, Conv2dAttrs } from "@dfine/tensor";
import { forwardAxis, type Override, type OverrideCall, shape4, type View } from "@dfine/tensor/kernel";
import { convVariant } from "./convVariant.ts";
import { convWindows } from "./convWindows.ts";
import { depthwise } from "./depthwise.ts";
import { type Epilogue, epilogueOf } from "./epilogue.ts";
import { multiplyViews } from "./matmul.ts";
import type { GpuRuntime } from "./runtime.ts";

export const conv2dOverride = (runtime: GpuRuntime): Override<Conv2dAttrs> => ({
  select: ([, weight], attrs) => convVariant(attrs, shape4(weight!)),
  run: (call) => convolve(runtime, call, undefined),
});

export const conv2dActOverride = (runtime: GpuRuntime): Override<Conv2dActAttrs> => ({
  select: ([, weight], attrs) => convVariant(attrs, shape4(weight!)),
  run: (call) => convolve(runtime, call, epilogueOf(call)),
});

function convolve(
  runtime: GpuRuntime,
  { variant, inputs, outputs, attrs }: OverrideCall<Conv2dAttrs>,
  epilogue: Epilogue | undefined,
): void {
  const [x, weight, y] = [inputs[0]!, inputs[1]!, outputs[0]!];
  if (variant === "pointwise") {
    // A product [Co, Ci] · [Ci, H·W] for each image.
    multiplyViews(runtime, { a: asMatrices(weight, 0), b: asMatrices(x, 1), c: asMatrices(y, 1), epilogue });
    return;
  }
  const [, ci, kh, kw] = shape4(weight);
  const [, co, ho, wo] = shape4(y);
  const { groups } = attrs;
  const axes = [
    forwardAxis(attrs, { side: 0, kernel: kh, outputs: ho }),
    forwardAxis(attrs, { side: 1, kernel: kw, outputs: wo }),
  ] as const;
  if (variant === "depthwise") {
    depthwise(runtime, { weight, x, c: y, axes, epilogue });
    return;
  }
  const channel = kh * kw;
  const weightStrides = { group: (co / groups) * ci * channel, row: ci * channel, channel };
  convWindows(runtime, { weight, x, c: y, groups, axes, weightStrides, epilogue });
}

/** The view with what follows its first axes as one axis: [Co, Ci, 1, 1] as [Co, Ci], [B, C, H, W] as [B, C, H·W]. */
export function asMatrices(view: View, kept: 0 | 1): View {
  const [first, channels, height, width] = shape4(view);
  const pixels = height * width;
  return kept === 0
    ? { ...view, shape: [first, channels], strides: [channels, 1] }
    : { ...view, shape: [first, channels, pixels], strides: [channels * pixels, pixels, 1] };
}
