import { ShapeError } from "../errors.ts";
import { axisIndex, constant, type Expr, load, param, row } from "../kernel/expr.ts";
import { foldProgram } from "../kernel/program.ts";
import type { Side } from "../kernel/windows.ts";
import { flag, options, whole } from "../options.ts";
import { type Shape, shapeText } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { MaxPool2dAttrs } from "./attrs.ts";
import { defineCall } from "./defineCall.ts";
import { defineOp } from "./defineOp.ts";
import { scatterRows } from "./indexing.ts";
import { bind, launchInto } from "./result.ts";
import { spread } from "./spread.ts";

/** What `maxPool2d` may be told; defaults are PyTorch's. */
export interface MaxPool2dOptions {
  readonly stride?: number;
  readonly padding?: number;
  readonly ceilMode?: boolean;
}

function inferPool(x: Tensor, { kernelSize, stride, padding, ceilMode }: MaxPool2dAttrs): Shape {
  if (kernelSize.some((size, i) => padding[i]! > size / 2))
    throw new ShapeError(
      `maxPool2d: a padding of ${padding} is more than half of the window ${kernelSize}: some would hold nothing`,
    );
  const along = (i: Side): number => {
    const size = x.shape[2 + i]!;
    const room = size + 2 * padding[i] - kernelSize[i];
    const n = (ceilMode ? Math.ceil(room / stride[i]) : Math.floor(room / stride[i])) + 1;
    // A window may not start beyond the input and its left padding.
    return ceilMode && (n - 1) * stride[i] >= size + padding[i] ? n - 1 : n;
  };
  const size = [along(0), along(1)];
  if (size.some((n) => n < 1))
    throw new ShapeError(`maxPool2d: the window ${kernelSize} is larger than the padded input ${shapeText(x.shape)}`);
  return [x.shape[0]!, x.shape[1]!, ...size];
}

const LAST = 0x7fffffff;
// Axes: batch, channel, output row and column; window row and column. Params: stride, padding, input size.
const pair = (first: number) => [param(first, "i32"), param(first + 1, "i32")] as const;
const [stride, padding, size] = [pair(0), pair(2), pair(4)];
const position = (side: Side): Expr =>
  axisIndex(2 + side)
    .mul(stride[side])
    .add(axisIndex(4 + side))
    .sub(padding[side]);
const within = (at: Expr, side: Side): Expr => at.lt(0).not().and(at.lt(size[side]));
const [y, x] = [position(0), position(1)];
const inside = within(y, 0).and(within(x, 1));
const value = load(0);
const isLargest = value.eq(row(0)).or(value.isNaN().and(row(0).isNaN()));
const program = foldProgram("maxPool2d", {
  inputs: ["f32"],
  params: ["i32", "i32", "i32", "i32", "i32", "i32"],
  folds: [
    ["max", value],
    ["min", isLargest.and(inside).select(y.mul(size[1]).add(x), constant(LAST, "i32"))],
  ],
});

/** x with −∞ around it, as far as the windows reach. */
function padWindows(x: Tensor, { stride, kernelSize, padding }: MaxPool2dAttrs, out: readonly number[]): Tensor {
  const reach = (side: Side) =>
    Math.max((out[side]! - 1) * stride[side] + kernelSize[side], x.shape[2 + side]! + padding[side]);
  return spread(x, { size: [reach(0), reach(1)], start: padding, value: Number.NEGATIVE_INFINITY });
}

const maxPool2dOp = defineOp("maxPool2d", {
  takes: ["x [B, C, H, W]"],
  infer: ([input], attrs) => {
    const shape = inferPool(input!, attrs);
    return [
      { shape, dtype: "f32" },
      { shape, dtype: "i32" },
    ];
  },
  fallback: ([input], attrs) => {
    const shape = inferPool(input!, attrs);
    const [ho, wo] = shape.slice(2) as [number, number];
    const padded = padWindows(input!, attrs, [ho, wo]);
    const [sb, sc, sh, sw] = padded.strides as [number, number, number, number];
    const walk = [sb, sc, sh * attrs.stride[0], sw * attrs.stride[1], sh, sw];
    return launchInto(program, {
      backend: padded.backend,
      kept: shape,
      folded: attrs.kernelSize,
      operands: [bind(padded, walk)],
      numbers: [...attrs.stride, ...attrs.padding, input!.shape[2]!, input!.shape[3]!],
    });
  },
  saves: { outputs: [1] },
  vjp: ({ outputs: [, indices], inputShapes, grads: [dy] }) => {
    const [h, w] = inputShapes[0]!.slice(2) as [number, number];
    return [dy && maxPool2dGradOp([dy, indices!], { inputSize: [h, w] })[0]];
  },
  cases: () =>
    (
      [
        [[1, 2, 5, 6], 2, {}],
        [[2, 3, 7, 9], 3, { stride: 2, padding: 1 }],
        [[1, 4, 5, 17], 2, { stride: 1, ceilMode: true }],
        [[1, 2, 6, 38], 3, { stride: 2, padding: 1 }],
        [[2, 1, 4, 29], 2, { stride: 2 }],
        [[1, 1, 5, 5], 2, { stride: 2, ceilMode: true }],
      ] as const
    ).map(([shape, kernel, options]) => ({
      name: `${JSON.stringify(shape)} ${kernel} ${JSON.stringify(options)}`,
      inputs: [{ shape }],
      run: (input) => [maxPool2d(input, kernel, options)],
      special: true,
    })),
});

const maxPool2dGradOp = defineOp("maxPool2dGrad", {
  takes: { "dy [B, C, Ho, Wo]": "f32", "indices [B, C, Ho, Wo]": "i32" },
  infer: ([dy], { inputSize }) => [{ shape: [dy!.shape[0]!, dy!.shape[1]!, ...inputSize], dtype: "f32" }],
  fallback: ([dy, indices], { inputSize: [h, w] }) => {
    const [b, c, ho, wo] = dy!.shape as [number, number, number, number];
    return [scatterRows(dy!, indices!.reshape([b * c, ho * wo]), h * w).reshape([b, c, h, w])];
  },
  cases: (op) => [
    {
      name: "every window counts",
      inputs: [{ shape: [2, 3, 4, 4] }, { shape: [2, 3, 4, 4], dtype: "i32", below: 35 }],
      run: (dy, indices) => op([dy, indices], { inputSize: [5, 7] }),
      differentiable: false,
    },
  ],
});

/** Largest element of each window of x [B, C, H, W]; the gradient goes to the first largest. @throws ShapeError */
export const maxPool2d = defineCall(
  "maxPool2d",
  {
    "x [B, C, H, W]": "f32",
    kernelSize: whole(1),
    "options?": options<MaxPool2dOptions>({ stride: whole(1), padding: whole(0), ceilMode: flag }),
  },
  (x: Tensor, kernelSize: number, options: MaxPool2dOptions = {}): Tensor => {
    const { stride = kernelSize, padding = 0, ceilMode = false } = options;
    const twice = (n: number) => [n, n] as const;
    return maxPool2dOp([x], {
      ...{ kernelSize: twice(kernelSize), stride: twice(stride), padding: twice(padding), ceilMode },
    })[0]!;
  },
);
