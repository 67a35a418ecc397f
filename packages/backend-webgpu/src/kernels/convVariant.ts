import type { Conv2dAttrs } from "@dfine/tensor";
import { type ConvKind, convKind, type Shape4 } from "@dfine/tensor/kernel";

/** Kernels written out for one channel hold all its places. */
const MOST_PLACES = 49;

/** Which kernel a convolution and its gradients run; `weight` is the weight's shape. */
export function convVariant(attrs: Conv2dAttrs, weight: Shape4): ConvKind {
  const kind = convKind(attrs, weight);
  return kind === "depthwise" && weight[2] * weight[3] > MOST_PLACES ? "windows" : kind;
}
