import { ShapeError } from "../errors.ts";
import type { Shape4, Side } from "../kernel/windows.ts";
import { type OptionRules, whole, wholes } from "../options.ts";
import { shapeText } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { Conv2dAttrs } from "./attrs.ts";

/** What `conv2d` may be told; defaults are PyTorch's. */
export interface Conv2dOptions {
  readonly stride?: number | readonly [number, number];
  /** One number for all sides, [vertical, horizontal], or [top, left, bottom, right]. */
  readonly padding?: number | readonly [number, number] | readonly [number, number, number, number];
  readonly dilation?: number | readonly [number, number];
  readonly groups?: number;
}

const pair = (n: number | readonly [number, number]): readonly [number, number] => (typeof n === "number" ? [n, n] : n);
const sides = (p: NonNullable<Conv2dOptions["padding"]>): Conv2dAttrs["padding"] =>
  typeof p === "number" ? [p, p, p, p] : p.length === 2 ? [p[0], p[1], p[0], p[1]] : p;

/** What each option takes. */
export const CONV2D_OPTIONS: OptionRules<Conv2dOptions> = {
  stride: wholes(1, [2]),
  padding: wholes(0, [2, 4]),
  dilation: wholes(1, [2]),
  groups: whole(1),
};

/** Attributes of a convolution, from what its caller was told. */
export function attrsOf(options: Conv2dOptions): Conv2dAttrs {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  return { stride: pair(stride), padding: sides(padding), dilation: pair(dilation), groups };
}

/** Shape of the output [B, Co, Ho, Wo]. @throws ShapeError */
export function inferConv(x: Tensor, weight: Tensor, attrs: Conv2dAttrs): Shape4 {
  const { stride, padding, dilation, groups } = attrs;
  const text = `conv2d: input ${shapeText(x.shape)}, weight ${shapeText(weight.shape)}, groups ${groups}`;
  const [batch, channels, ...input] = x.shape as [number, number, number, number];
  const [out, own, ...kernel] = weight.shape as [number, number, number, number];
  if (channels !== own * groups)
    throw new ShapeError(`${text}: the input has ${channels} channels, the weight takes ${own * groups}`);
  if (out % groups) throw new ShapeError(`${text}: ${out} output channels do not divide into the groups`);
  const along = (i: Side): number =>
    Math.floor((input[i] + padding[i] + padding[i + 2]! - dilation[i] * (kernel[i] - 1) - 1) / stride[i]) + 1;
  const [height, width] = [along(0), along(1)];
  if (height < 1 || width < 1) throw new ShapeError(`${text}: the kernel is larger than the padded input`);
  return [batch, out, height, width];
}
