import type { Override, Overrides, View } from "../backend.ts";
import type { Conv2dAttrs, Conv2dInputGradAttrs } from "../ops/attrs.ts";
import { isContiguous } from "../shape.ts";
import { convActEpilogue, type Epilogue } from "./epilogue.ts";
import type { FinishedCall } from "./fusion/fusion.ts";
import { forwardAxis, inputGradAxes, type Shape4, shape4, type WindowAxis } from "./windows.ts";

interface ConvViews {
  /** [Co, Ci/groups, kh, kw] */
  readonly weight: View;
  /** What windows are taken of [B, channels, H, W]. */
  readonly x: View;
  /** [B, rows, H, W] */
  readonly c: View;
}

/**
 * A convolution as sums over windows: c[b, m, y, x] = Σ weight · x over channels and kernel positions, for each pair of an
 * axis along rows and one along columns. The input's gradient is such a sum too, of windows of dy; the weight's gradient
 * sums the products of x and c over pixels instead.
 */
export interface ConvWindows extends ConvViews {
  readonly groups: number;
  /** Elements of the weight from group to group, from channel to channel of c (row) and of x (channel). */
  readonly weightStrides: { readonly group: number; readonly row: number; readonly channel: number };
  /** Along rows, along columns: together they cover c. */
  readonly axes: readonly [readonly WindowAxis[], readonly WindowAxis[]];
}

/** c = conv2d(x, weight) */
export function forwardWindows(views: ConvViews, attrs: Conv2dAttrs): ConvWindows {
  const [co, ci, kh, kw] = shape4(views.weight);
  const [, , ho, wo] = shape4(views.c);
  const { groups } = attrs;
  const row = ci * kh * kw;
  return {
    ...views,
    groups,
    weightStrides: { group: (co / groups) * row, row, channel: kh * kw },
    axes: [
      [forwardAxis(attrs, { side: 0, kernel: kh, outputs: ho })],
      [forwardAxis(attrs, { side: 1, kernel: kw, outputs: wo })],
    ],
  };
}

/** c = the gradient of conv2d's input, x the one of its output. */
export function inputGradWindows(views: ConvViews, attrs: Conv2dInputGradAttrs): ConvWindows {
  const [co, ci, kh, kw] = shape4(views.weight);
  const { groups } = attrs;
  const channel = ci * kh * kw;
  return {
    ...views,
    groups,
    weightStrides: { group: (co / groups) * channel, row: kh * kw, channel },
    axes: [inputGradAxes(attrs, { side: 0, kernel: kh }), inputGradAxes(attrs, { side: 1, kernel: kw })],
  };
}

/** Images [B, C, H, W], each contiguous, as matrices [B, C, H·W]. */
export function asMatrices(view: View): View {
  const [batch, channels, height, width] = shape4(view);
  const pixels = height * width;
  return { ...view, shape: [batch, channels, pixels], strides: [view.strides[0]!, pixels, 1] };
}

/** Whether images [B, C, H, W] are contiguous, perhaps with something between them, as some channels of all are. */
export const areImagesContiguous = ({ shape, strides }: View): boolean =>
  isContiguous(shape.slice(1), strides.slice(1)) && strides[0]! > 0;

/** Pointwise windows as a product: a [rows, channels] · b [B, channels, H·W] = c [B, rows, H·W]. */
export const pointwiseProduct = ({ weight, x, c, weightStrides: { row, channel } }: ConvWindows) => ({
  a: { ...weight, shape: [c.shape[1]!, x.shape[1]!], strides: [row, channel] },
  b: asMatrices(x),
  c: asMatrices(c),
});

/** What a backend does with windows. */
export interface WindowKernels<Kind extends string> {
  /** Which kind of sum a convolution with a weight and x of these shapes is. */
  readonly kindOf: (attrs: Conv2dAttrs, weight: Shape4, x: Shape4) => Kind;
  /** Kinds that read images which lie apart, as some channels of a larger tensor do. */
  readonly apart: readonly Kind[];
  /** Computes the sums. */
  readonly run: (windows: ConvWindows, how: { kind: Kind; epilogue: Epilogue | undefined }) => void;
}

/** Overrides of convolutions and of their inputs' gradients. */
export function windowOverrides<Kind extends string>({
  kindOf,
  apart,
  run,
}: WindowKernels<Kind>): Required<Pick<Overrides, "conv2d" | "conv2dAct" | "conv2dInputGrad">> {
  const override = <Attrs extends Conv2dAttrs>(
    describe: (views: ConvViews, attrs: Attrs) => ConvWindows,
    epilogueOf: (call: FinishedCall<Attrs>) => Epilogue | undefined = ({ epilogue }) => epilogue,
  ): Override<Attrs> => ({
    select: ([x, weight], attrs) => kindOf(attrs, shape4(weight!), shape4(x!)),
    accepts: ([x, weight], attrs) => [
      areImagesContiguous(x!) && apart.includes(kindOf(attrs, shape4(weight!), shape4(x!))),
    ],
    run(call) {
      const { variant, inputs, outputs, attrs } = call;
      const windows = describe({ x: inputs[0]!, weight: inputs[1]!, c: outputs[0]! }, attrs);
      run(windows, { kind: variant as Kind, epilogue: epilogueOf(call) });
    },
  });
  return {
    conv2d: override(forwardWindows),
    conv2dAct: override(forwardWindows, convActEpilogue),
    conv2dInputGrad: override(inputGradWindows),
  };
}
