import type { Conv2dAttrs } from "@dfine/tensor";
import { type ConvKind, convKind, pointwiseProduct, type Shape4, windowOverrides } from "@dfine/tensor/kernel";
import { convWindows } from "./convWindows.ts";
import { depthwise } from "./depthwise.ts";
import { multiplyViews } from "./matmul.ts";
import type { GpuRuntime } from "./runtime.ts";

/** Kernels written out for one channel hold all its places. */
const MOST_PLACES = 49;

/** Which kernel a convolution and its gradients run; `weight` is the weight's shape. */
export function convVariant(attrs: Conv2dAttrs, weight: Shape4): ConvKind {
  const kind = convKind(attrs, weight);
  return kind === "depthwise" && weight[2] * weight[3] > MOST_PLACES ? "windows" : kind;
}

/** Convolutions and their inputs' gradients. */
export const conv2dOverrides = (runtime: GpuRuntime) =>
  windowOverrides<ConvKind>({
    kindOf: convVariant,
    run(windows, { kind, epilogue }) {
      if (kind === "pointwise") {
        multiplyViews(runtime, { ...pointwiseProduct(windows), epilogue });
        return;
      }
      const [rows, columns] = windows.axes;
      const sum = kind === "depthwise" ? depthwise : convWindows;
      for (const y of rows) for (const x of columns) sum(runtime, { ...windows, axes: [y, x], epilogue });
    },
  });
