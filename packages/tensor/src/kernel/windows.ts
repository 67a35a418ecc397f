import type { View } from "../backend.ts";
import type { Conv2dAttrs, Conv2dInputGradAttrs } from "../ops/attrs.ts";

/** Of images [B, C, H, W] and weights [Co, Ci/groups, kh, kw]. */
export type Shape4 = readonly [number, number, number, number];
/** The shape of a view that has four axes. */
export const shape4 = (view: View): Shape4 => view.shape as Shape4;

/**
 * How outputs of a convolution read its input along one axis: output i is at position start + i · outStep, and its tap j,
 * kernel index firstTap + j · tapIndexStep, reads input i · step + base + j · tapStep, or a zero where that is outside.
 */
export interface WindowAxis {
  readonly outputs: number;
  readonly start: number;
  readonly outStep: number;
  readonly step: number;
  readonly base: number;
  readonly taps: number;
  readonly tapStep: number;
  readonly firstTap: number;
  readonly tapIndexStep: number;
}

/** Of a plane: 0 down its rows, 1 along its columns. */
export type Side = 0 | 1;

/** How a convolution reads its input along one axis; `kernel` and `outputs` are its lengths there. */
export function forwardAxis(
  { stride, padding, dilation }: Conv2dAttrs,
  { side, kernel, outputs }: { side: Side; kernel: number; outputs: number },
): WindowAxis {
  return {
    ...{ outputs, start: 0, outStep: 1, step: stride[side], base: -padding[side] },
    ...{ taps: kernel, tapStep: dilation[side], firstTap: 0, tapIndexStep: 1 },
  };
}

/**
 * How the input's gradient reads dy along one axis: positions that are alike modulo the stride meet the same kernel
 * positions, and only those, so each residue is an axis of its own.
 */
export function inputGradAxes(
  { stride, padding, dilation, inputSize }: Conv2dInputGradAttrs,
  { side, kernel }: { side: Side; kernel: number },
): WindowAxis[] {
  const step = stride[side];
  return Array.from({ length: Math.min(step, inputSize[side]) }, (_, start) => {
    const reach = (tap: number): number => start + padding[side] - tap * dilation[side];
    // Later kernel positions read earlier inputs: from the last one on, reads go forward as in a convolution.
    const taps = Array.from({ length: kernel }, (_, i) => kernel - 1 - i).filter((tap) => reach(tap) % step === 0);
    const [firstTap = 0, secondTap = firstTap] = taps;
    const tapIndexStep = secondTap - firstTap;
    return {
      ...{ outputs: Math.ceil((inputSize[side] - start) / step), start, outStep: step, step: 1 },
      ...{ base: taps.length > 0 ? reach(firstTap) / step : 0, taps: taps.length },
      ...{ tapStep: (-tapIndexStep * dilation[side]) / step, firstTap, tapIndexStep },
    };
  });
}

const isPointwise = ({ stride, padding, groups }: Conv2dAttrs, [, , kh, kw]: Shape4): boolean =>
  kh * kw * groups * stride[0] * stride[1] === 1 && padding.every((p) => p === 0);

/** A product of matrices, each channel by itself, or windows over all channels of a group. */
export type ConvKind = "pointwise" | "depthwise" | "windows";

/** What a convolution and its gradients come down to; `weight` is the weight's shape. */
export function convKind(attrs: Conv2dAttrs, weight: Shape4): ConvKind {
  if (isPointwise(attrs, weight)) return "pointwise";
  return attrs.groups > 1 && attrs.groups === weight[0] && weight[1] === 1 ? "depthwise" : "windows";
}
