import type { Conv2dActAttrs, Conv2dAttrs, Conv2dInputGradAttrs } from "@dfine/tensor";
import {
  type ConvWindows,
  convKind,
  forwardWindows,
  inputGradWindows,
  type Override,
  type OverrideCall,
  pointwiseProduct,
  shape4,
} from "@dfine/tensor/kernel";
import type { CpuRuntime } from "../runtime.ts";
import type { Epilogue } from "./epilogue.ts";
import { multiplyViews } from "./matmul.ts";
import { sumWindows } from "./sumWindows.ts";

/** A convolution, or its input's gradient: `describe` says of the inputs and the output which windows are summed. */
const windowed = <Attrs extends Conv2dAttrs>(
  runtime: CpuRuntime,
  describe: (views: Pick<ConvWindows, "x" | "weight" | "c">, attrs: Attrs) => ConvWindows,
  epilogueOf?: (call: OverrideCall<Attrs>) => Epilogue,
): Override<Attrs> => ({
  select: ([, weight], attrs) => convKind(attrs, shape4(weight!)),
  run(call) {
    const { variant, inputs, outputs, attrs } = call;
    const windows = describe({ x: inputs[0]!, weight: inputs[1]!, c: outputs[0]! }, attrs);
    const epilogue = epilogueOf?.(call);
    if (variant === "pointwise") multiplyViews(runtime, { ...pointwiseProduct(windows), epilogue });
    else sumWindows(runtime, { ...windows, isDepthwise: variant === "depthwise", epilogue });
  },
});

export const conv2dOverride = (runtime: CpuRuntime): Override<Conv2dAttrs> => windowed(runtime, forwardWindows);

export const conv2dActOverride = (runtime: CpuRuntime): Override<Conv2dActAttrs> =>
  windowed<Conv2dActAttrs>(runtime, forwardWindows, ({ inputs, attrs }) => ({
    activation: attrs.activation,
    addresses: inputs.slice(2).map((view) => runtime.pointer(view)),
  }));

export const conv2dInputGradOverride = (runtime: CpuRuntime): Override<Conv2dInputGradAttrs> =>
  windowed(runtime, inputGradWindows);
