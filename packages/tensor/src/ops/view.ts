import type { Seen } from "../autograd/node.ts";
import { record } from "../autograd/tape.ts";
import { ShapeError } from "../errors.ts";
import { axisOption, integer, list, options, sizesFrom, whole } from "../options.ts";
import { runtime } from "../runtime.ts";
import {
  broadcastShapes,
  broadcastStrides,
  normalizeAxis,
  rowMajor,
  type Shape,
  sameShape,
  shapeText,
  sizeOf,
} from "../shape.ts";
import type { Layout, SliceRange, Tensor } from "../tensor.ts";
import { identity } from "./arithmetic.ts";
import { copyInto, zerosLike } from "./copy.ts";
import { defineCall } from "./defineCall.ts";
import { ANY, type Takes } from "./inputs.ts";
import { type LayoutOps, tellLayout } from "./recorder.ts";
import { sliceLayout } from "./result.ts";
import { sumTo } from "./sumTo.ts";

interface ViewHow<Name extends keyof LayoutOps> {
  readonly layout: Layout;
  readonly attrs: LayoutOps[Name];
}

/** A view, of which who records calls is told. */
function tellView<Name extends keyof LayoutOps>(name: Name, x: Tensor, { layout, attrs }: ViewHow<Name>): Tensor {
  const view = x.alias({ layout });
  if (runtime.recorder) tellLayout(name, attrs, { inputs: [x], outputs: [view] });
  return view;
}

/** A view of some elements of `x`, or of some several times, whose gradient is `inverse` of the view's gradient. */
function viewOf<Name extends keyof LayoutOps>(
  name: Name,
  x: Tensor,
  { inverse, ...how }: ViewHow<Name> & { readonly inverse: (dy: Tensor) => Tensor },
): Tensor {
  const view = tellView(name, x, how);
  record(name, [view], { inputs: [x], vjp: ({ grads }) => [inverse(grads[0]!)] });
  return view;
}

/** A view of each element of `x` once. */
function wholeView<Name extends keyof LayoutOps>(
  name: Name,
  x: Tensor,
  { gradient, place, ...how }: ViewHow<Name> & Omit<Seen<Tensor>, "before">,
): Tensor {
  const view = tellView(name, x, how);
  const { edge } = x;
  if (edge && runtime.gradientEnabled) view.attach({ ...edge, seen: { before: edge.seen, gradient, place } });
  return view;
}

/** A function of a tensor x of any element type, and of what else it `takes`. */
const defineView = <Args extends readonly unknown[]>(name: string, takes: Takes, run: (...args: Args) => Tensor) =>
  defineCall(name, { x: ANY, ...takes }, run);

/** The same elements, row-major and without gaps; copies only when it must. */
export const contiguous = defineView("contiguous", {}, (x: Tensor): Tensor => (x.isContiguous ? x : identity(x)));

/** The same elements in row-major order under another shape; one size may be −1. Copies when strides allow no view. @throws ShapeError */
export const reshape = defineView("reshape", { shape: sizesFrom(-1) }, (x: Tensor, shape: Shape): Tensor => {
  const target = inferSize(x.shape, shape);
  if (sameShape(target, x.shape)) return x;
  const source = x.isContiguous ? x : identity(x);
  return reshapedView(source, rowMajor(target, source.offset));
});

function reshapedView(x: Tensor, layout: Layout): Tensor {
  const { shape: from, strides } = x;
  return wholeView("reshape", x, {
    ...{ layout, attrs: {} },
    gradient: (dy) => reshape(dy, from),
    place: (dx) =>
      sameShape(dx.strides, strides) ? dx.alias({ layout: { ...layout, offset: dx.offset } }) : undefined,
  });
}

function inferSize(from: Shape, shape: Shape): Shape {
  const size = sizeOf(from);
  let [known, open] = [1, 0];
  for (let axis = 0; axis < shape.length; axis++) {
    if (shape[axis] === -1) open++;
    else known *= shape[axis]!;
  }
  if (open === 0 && known === size) return shape;
  const target = open === 1 && known > 0 ? shape.map((n) => (n === -1 ? size / known : n)) : shape;
  if (open > 1 || target.some((n) => !Number.isInteger(n) || n < 0) || sizeOf(target) !== size)
    throw new ShapeError(`reshape: ${shapeText(from)} has ${size} elements, which do not fill ${shapeText(shape)}`);
  return target;
}

const FLATTEN: Takes = { "start?": axisOption, "end?": axisOption };

/** Merges axes start…end (inclusive) into one. @throws ShapeError */
export const flatten = defineView("flatten", FLATTEN, (x: Tensor, start: number = 0, end: number = -1): Tensor => {
  if (x.rank === 0) return reshape(x, [1]);
  const first = normalizeAxis("flatten", start, x.rank);
  const last = normalizeAxis("flatten", end, x.rank);
  if (first > last) throw new ShapeError(`flatten: axis ${start} of ${shapeText(x.shape)} comes after axis ${end}`);
  return reshape(x, [...x.shape.slice(0, first), sizeOf(x.shape.slice(first, last + 1)), ...x.shape.slice(last + 1)]);
});

const PERMUTE: Takes = { axes: list(axisOption) };

/** Reorders axes: result axis i is input axis `axes[i]`. A view. @throws ShapeError */
export const permute = defineView("permute", PERMUTE, (x: Tensor, axes: readonly number[]): Tensor => {
  const order = axes.map((axis) => normalizeAxis("permute", axis, x.rank));
  const inverse = order.map((_, axis) => order.indexOf(axis));
  if (order.length !== x.rank || inverse.includes(-1))
    throw new ShapeError(`permute: [${axes}] must name each of the ${x.rank} axes of ${shapeText(x.shape)} once`);
  const permuted = (t: Tensor, axes: readonly number[]): Layout => ({
    shape: axes.map((axis) => t.shape[axis]!),
    strides: axes.map((axis) => t.strides[axis]!),
    offset: t.offset,
  });
  return wholeView("permute", x, {
    ...{ layout: permuted(x, order), attrs: { axes: order } },
    gradient: (dy) => dy.alias({ layout: permuted(dy, inverse) }),
    place: (dx) => dx.alias({ layout: permuted(dx, order) }),
  });
});

const TRANSPOSE: Takes = { a: axisOption, b: axisOption };

/** Swaps two axes. A view. @throws ShapeError */
export const transpose = defineView("transpose", TRANSPOSE, (x: Tensor, a: number, b: number): Tensor => {
  const [i, j] = [normalizeAxis("transpose", a, x.rank), normalizeAxis("transpose", b, x.rank)];
  const order = x.shape.map((_, axis) => (axis === i ? j : axis === j ? i : axis));
  return permute(x, order);
});

/** Repeats axes of size 1, and new leading axes, to give `shape`. A view. @throws ShapeError */
export const expand = defineCall("expand", { x: ANY, shape: sizesFrom(0) }, (x: Tensor, shape: Shape): Tensor => {
  if (!sameShape(broadcastShapes("expand", [x.shape, shape]), shape))
    throw new ShapeError(
      `expand: ${shapeText(x.shape)} does not expand to ${shapeText(shape)}; only axes of size 1 can grow`,
    );
  const from = x.shape;
  return viewOf("expand", x, {
    layout: { shape, strides: broadcastStrides(x.shape, x.strides, shape), offset: x.offset },
    attrs: {},
    inverse: (dy) => sumTo(dy, from),
  });
});

/** Inserts an axis of size 1. A view. @throws ShapeError */
export const unsqueeze = defineView("unsqueeze", { axis: axisOption }, (x: Tensor, axis: number): Tensor => {
  const at = normalizeAxis("unsqueeze", axis, x.rank + 1);
  const insert = (list: readonly number[], n: number): number[] => [...list.slice(0, at), n, ...list.slice(at)];
  return reshapedView(x, { shape: insert(x.shape, 1), strides: insert(x.strides, 0), offset: x.offset });
});

/** Drops an axis of size 1. A view. @throws ShapeError */
export const squeeze = defineCall("squeeze", { x: ANY, axis: axisOption }, (x: Tensor, axis: number): Tensor => {
  const at = normalizeAxis("squeeze", axis, x.rank);
  if (x.shape[at] !== 1)
    throw new ShapeError(`squeeze: axis ${axis} of ${shapeText(x.shape)} has size ${x.shape[at]}, not 1`);
  const drop = (list: readonly number[]): number[] => list.filter((_, i) => i !== at);
  return reshapedView(x, { shape: drop(x.shape), strides: drop(x.strides), offset: x.offset });
});

const RANGE = options<SliceRange>({ start: integer, end: integer, step: whole(1) });

const SLICE: Takes = {
  ranges: list({
    ...RANGE,
    fits: (range) => range === null || RANGE.fits(range),
    inside: (op, name, range: SliceRange | null) => range && RANGE.inside?.(op, name, range as never),
  }),
};

/** A range of every axis; null or missing ranges keep the axis whole. A view. @throws ShapeError, ArgumentError */
export const slice = defineView("slice", SLICE, (x: Tensor, ranges: readonly (SliceRange | null)[]): Tensor => {
  if (ranges.length > x.rank)
    throw new ShapeError(`slice: ${ranges.length} ranges for the ${x.rank} axes of ${shapeText(x.shape)}`);
  const from = x.shape;
  const starts = from.map((size, axis) => {
    const { start = 0 } = ranges[axis] ?? {};
    return start < 0 ? start + size : start;
  });
  return viewOf("slice", x, {
    layout: sliceLayout(x, ranges),
    attrs: { starts, steps: from.map((_, axis) => ranges[axis]?.step ?? 1) },
    inverse: (dy) => {
      const dx = zerosLike(dy, from);
      copyInto(dx.alias({ layout: sliceLayout(dx, ranges) }), dy);
      return dx;
    },
  });
});
