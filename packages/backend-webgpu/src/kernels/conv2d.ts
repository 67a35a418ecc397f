import type { Conv2dAttrs } from "@dfine/tensor";
import {
  type ConvKind,
  convKind,
  type Overrides,
  pointwiseProduct,
  type Shape4,
  windowOverrides,
} from "@dfine/tensor/kernel";
import { convWindows } from "./convWindows.ts";
import { depthwise } from "./depthwise.ts";
import { multiplyViews } from "./matmul.ts";
import type { GpuRuntime } from "./runtime.ts";

/** Kernels written out for one channel hold all its places. */
const MOST_PLACES = 49;

/** Pairs of residues of a strided convolution that are one kernel's text. */
const MOST_PAIRS = 16;

/** Which kernel a convolution and its gradients run; `weight` is the weight's shape. */
export function convVariant(attrs: Conv2dAttrs, weight: Shape4): ConvKind {
  const kind = convKind(attrs, weight);
  return kind === "depthwise" && weight[2] * weight[3] > MOST_PLACES ? "windows" : kind;
}

/** Kinds that read images which lie apart, as some channels of a larger tensor do. */
export const APART: readonly ConvKind[] = ["pointwise", "windows"];

/** Convolutions and their inputs' gradients. */
export function conv2dOverrides(runtime: GpuRuntime): Overrides {
  return windowOverrides<ConvKind>({
    kindOf: convVariant,
    apart: APART,
    run(windows, { kind, epilogue }) {
      if (kind === "pointwise") {
        multiplyViews(runtime, { ...pointwiseProduct(windows), epilogue });
        return;
      }
      const [rows, columns] = windows.axes;
      if (kind === "depthwise" && rows.length * columns.length <= MOST_PAIRS) {
        depthwise(runtime, { ...windows, epilogue });
        return;
      }
      for (const y of rows)
        for (const x of columns)
          if (kind === "depthwise") depthwise(runtime, { ...windows, axes: [[y], [x]], epilogue });
          else convWindows(runtime, { ...windows, axes: [y, x], epilogue });
    },
  });
}
