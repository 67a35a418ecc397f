import { ShapeError } from "../errors.ts";
import { type OptionRules, whole, wholes } from "../options.ts";
import { type Shape, shapeText } from "../shape.ts";
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

/** Size of a convolution's output along both axes. */
function outputSize(
  input: readonly number[],
  kernel: readonly number[],
  { stride, padding, dilation }: Conv2dAttrs,
): [number, number] {
  const along = (i: 0 | 1) =>
    Math.floor((input[i]! + padding[i] + padding[i + 2]! - dilation[i] * (kernel[i]! - 1) - 1) / stride[i]) + 1;
  return [along(0), along(1)];
}

/** Shape of the output [B, Co, Ho, Wo]. @throws ShapeError */
export function inferConv(x: Tensor, weight: Tensor, attrs: Conv2dAttrs): Shape {
  const text = `conv2d: input ${shapeText(x.shape)}, weight ${shapeText(weight.shape)}, groups ${attrs.groups}`;
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  if (channels !== weight.shape[1]! * attrs.groups)
    throw new ShapeError(
      `${text}: the input has ${channels} channels, the weight takes ${weight.shape[1]! * attrs.groups}`,
    );
  if (weight.shape[0]! % attrs.groups)
    throw new ShapeError(`${text}: ${weight.shape[0]} output channels do not divide into the groups`);
  const size = outputSize([height, width], weight.shape.slice(2), attrs);
  if (size[0] < 1 || size[1] < 1) throw new ShapeError(`${text}: the kernel is larger than the padded input`);
  return [batch, weight.shape[0]!, ...size];
}
