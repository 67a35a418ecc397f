import type { Conv2dAttrs } from "@dfine/tensor";
import {
  areImagesContiguous,
  type ConvKind,
  convKind,
  type Overrides,
  pointwiseProduct,
  type Shape4,
  shape4,
  type View,
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

/** Whether images may lie apart, as some channels of a larger tensor do: products read them so. */
export const mayLieApart = (images: View, attrs: Conv2dAttrs, weight: Shape4): boolean =>
  convVariant(attrs, weight) !== "depthwise" && areImagesContiguous(images);

/** Convolutions and their inputs' gradients. */
export function conv2dOverrides(runtime: GpuRuntime): Overrides {
  const { conv2d, conv2dAct, conv2dInputGrad } = windowOverrides<ConvKind>({
    kindOf: convVariant,
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
  const accepts = ([x, weight]: readonly View[], attrs: Conv2dAttrs) => [mayLieApart(x!, attrs, shape4(weight!))];
  return {
    conv2d: { ...conv2d, accepts },
    conv2dAct: { ...conv2dAct, accepts },
    conv2dInputGrad: { ...conv2dInputGrad, accepts },
  };
}
