import type { Tensor } from "../tensor.ts";
import type { Conv2dAttrs } from "./attrs.ts";
import { contract } from "./contract.ts";
import { attrsOf, inferConv } from "./conv2dOptions.ts";
import { convCases } from "./convCases.ts";
import { filled } from "./copy.ts";
import { defineOp } from "./defineOp.ts";
import { spread } from "./spread.ts";

/** Strides of a contiguous [B, G·C, H, W] along batch, group, channel, row, column. */
function grouped(t: Tensor, groups: number): [number, number, number, number, number] {
  const [b, c, h, w] = t.strides as [number, number, number, number];
  return [b, (t.shape[1]! / groups) * c, c, h, w];
}

function padded(x: Tensor, { padding: [top, left, bottom, right] }: Conv2dAttrs): Tensor {
  if (top + left + bottom + right === 0) return x.contiguous();
  return spread(x, { size: [x.shape[2]! + top + bottom, x.shape[3]! + left + right], start: [top, left] });
}

export const conv2dOp = defineOp("conv2d", {
  takes: ["x [B, Ci, H, W]", "weight [Co, Ci/groups, kh, kw]"],
  infer: ([x, weight], attrs) => [{ shape: inferConv(x!, weight!, attrs), dtype: "f32" }],
  fallback: ([input, kernel], attrs) => {
    const [batch, out, ho, wo] = inferConv(input!, kernel!, attrs);
    const { groups, stride, dilation } = attrs;
    const x = padded(input!, attrs);
    const weight = kernel!.contiguous();
    const [, ci, kh, kw] = weight.shape as [number, number, number, number];
    const [xb, xg, xc, xh, xw] = grouped(x, groups);
    const [wo0, wc, wh, ww] = weight.strides as [number, number, number, number];
    const kept = [batch, groups, out / groups, ho, wo];
    return [
      contract(
        { kept, summed: [ci, kh, kw] },
        { tensor: x, strides: [xb, xg, 0, xh * stride[0], xw * stride[1], xc, xh * dilation[0], xw * dilation[1]] },
        { tensor: weight, strides: [0, (out / groups) * wo0, wo0, 0, 0, wc, wh, ww] },
      ).reshape([batch, out, ho, wo]),
    ];
  },
  saves: { inputs: [0, 1] },
  vjp({ inputs: [x, weight], attrs, grads: [dy], needs, into }) {
    const inputSize = [x!.shape[2]!, x!.shape[3]!] as const;
    const kernelSize = [weight!.shape[2]!, weight!.shape[3]!] as const;
    // The weight's first: the other one is what goes on, and a backend may join it with what comes next.
    const dw = needs[1] ? conv2dWeightGradOp([dy!, x!], { ...attrs, kernelSize }, into[1])[0] : undefined;
    const dx = needs[0] ? conv2dInputGradOp([dy!, weight!], { ...attrs, inputSize }, into[0])[0] : undefined;
    return [dx, dw];
  },
  cases: (op) => convCases(({ x, weight, options }) => op([x, weight], attrsOf(options))[0]!, true),
});

/** The cases of a convolution's gradient, for dy = ½. */
const gradCases = (run: (call: { dy: Tensor; x: Tensor; weight: Tensor; attrs: Conv2dAttrs }) => Tensor) =>
  convCases(({ x, weight, options }) => {
    const attrs = attrsOf(options);
    const dy = filled(x.backend, inferConv(x, weight, attrs), { value: 0.5, dtype: "f32" });
    return run({ dy, x, weight, attrs });
  }, false);

const conv2dInputGradOp = defineOp("conv2dInputGrad", {
  takes: ["dy [B, Co, Ho, Wo]", "weight [Co, Ci/groups, kh, kw]"],
  infer: ([dy, weight], { inputSize, groups }) => [
    { shape: [dy!.shape[0]!, weight!.shape[1]! * groups, ...inputSize], dtype: "f32" },
  ],
  // The gradient is a stride-1 convolution of dy, spread by the stride, with the kernel walked backwards.
  fallback: ([grad, kernel], attrs) => {
    const { groups, stride, dilation, padding, inputSize } = attrs;
    const weight = kernel!.contiguous();
    const [out, ci, kh, kw] = weight.shape as [number, number, number, number];
    const reach = [dilation[0] * (kh - 1), dilation[1] * (kw - 1)] as const;
    const size = [
      inputSize[0] + padding[0] + padding[2] + reach[0],
      inputSize[1] + padding[1] + padding[3] + reach[1],
    ] as const;
    const dy = spread(grad!, { size, start: reach, step: stride });
    const [yb, yg, yc, yh, yw] = grouped(dy, groups);
    const [wo, wc, wh, ww] = weight.strides as [number, number, number, number];
    const kept = [dy.shape[0]!, groups, ci, ...inputSize];
    return [
      contract(
        { kept, summed: [out / groups, kh, kw] },
        {
          tensor: dy,
          strides: [yb, yg, 0, yh, yw, yc, yh * dilation[0], yw * dilation[1]],
          start: padding[0] * yh + padding[1] * yw,
        },
        {
          tensor: weight,
          strides: [0, (out / groups) * wo, wc, 0, 0, wo, -wh, -ww],
          start: (kh - 1) * wh + (kw - 1) * ww,
        },
      ).reshape([dy.shape[0]!, ci * groups, ...inputSize]),
    ];
  },
  cases: (op) =>
    gradCases(({ dy, x, weight, attrs }) => op([dy, weight], { ...attrs, inputSize: [x.shape[2]!, x.shape[3]!] })[0]!),
});

const conv2dWeightGradOp = defineOp("conv2dWeightGrad", {
  takes: ["dy [B, Co, Ho, Wo]", "x [B, Ci, H, W]"],
  infer: ([dy, x], { kernelSize, groups }) => [
    { shape: [dy!.shape[1]!, x!.shape[1]! / groups, ...kernelSize], dtype: "f32" },
  ],
  fallback: ([grad, input], attrs) => {
    const { groups, stride, dilation, kernelSize } = attrs;
    const dy = grad!.contiguous();
    const x = padded(input!, attrs);
    const [batch, out, ho, wo] = dy.shape as [number, number, number, number];
    const ci = x.shape[1]! / groups;
    const [yb, yg, yc, yh, yw] = grouped(dy, groups);
    const [xb, xg, xc, xh, xw] = grouped(x, groups);
    return [
      contract(
        { kept: [groups, out / groups, ci, ...kernelSize], summed: [batch, ho, wo] },
        { tensor: dy, strides: [yg, yc, 0, 0, 0, yb, yh, yw] },
        { tensor: x, strides: [xg, 0, xc, xh * dilation[0], xw * dilation[1], xb, xh * stride[0], xw * stride[1]] },
      ).reshape([out, ci, ...kernelSize]),
    ];
  },
  cases: (op) =>
    gradCases(
      ({ dy, x, weight, attrs }) => op([dy, x], { ...attrs, kernelSize: [weight.shape[2]!, weight.shape[3]!] })[0]!,
    ),
});
