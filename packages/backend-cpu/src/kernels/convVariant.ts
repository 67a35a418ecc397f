import type { Conv2dAttrs } from "@dfine/tensor";
import type { View } from "@dfine/tensor/kernel";

export type Shape4 = readonly [number, number, number, number];
export const shape4 = (view: View): Shape4 => view.shape as Shape4;

const isPointwise = ({ stride, padding, groups }: Conv2dAttrs, [, , kh, kw]: Shape4): boolean =>
  kh * kw * groups * stride[0] * stride[1] === 1 && padding.every((p) => p === 0);

/** Which kernel a convolution and its gradients run; `weight` is the weight's shape. */
export function convVariant(attrs: Conv2dAttrs, weight: Shape4): "pointwise" | "depthwise" | "windows" {
  if (isPointwise(attrs, weight)) return "pointwise";
  return attrs.groups > 1 && attrs.groups === weight[0] && weight[1] === 1 ? "depthwise" : "windows";
}
