import { ShapeError } from "./errors.ts";

/** Sizes of the axes, slowest first. */
export type Shape = readonly number[];

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (let axis = 0; axis < shape.length; axis++) size *= shape[axis]!;
  return size;
}

/** Row-major strides in elements. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis]!;
  }
  return strides;
}

/** How a tensor lies whose elements follow each other from `offset` on. */
export const rowMajor = (shape: Shape, offset: number) => ({ shape, strides: contiguousStrides(shape), offset });

/** Whether elements follow each other in row-major order without gaps. Axes of size 1 may have any stride. */
export function isContiguous(shape: Shape, strides: readonly number[]): boolean {
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] === 0) return true;
    if (shape[axis] !== 1 && strides[axis] !== step) return false;
    step *= shape[axis]!;
  }
  return true;
}

/** `[2, 3]` as text. */
export const shapeText = (shape: Shape): string => `[${shape.join(", ")}]`;

/** Whether two shapes have the same axes. */
export function sameShape(a: Shape, b: Shape): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let axis = 0; axis < a.length; axis++) if (a[axis] !== b[axis]) return false;
  return true;
}

/** Brings a possibly negative axis into 0…rank-1. @throws ShapeError */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || normal < 0 || normal >= rank)
    throw new ShapeError(`${op}: axis ${axis} does not exist in a tensor of rank ${rank}`);
  return normal;
}

/** Sorted, distinct, non-negative axes. @throws ShapeError when one is out of range or repeated */
export function normalizeAxes(op: string, axes: number | readonly number[] | undefined, rank: number): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, axis) => axis);
  if (typeof axes === "number") return [normalizeAxis(op, axes, rank)];
  const list = axes.map((axis) => normalizeAxis(op, axis, rank));
  if (list.some((axis, i) => list.indexOf(axis) !== i))
    throw new ShapeError(`${op}: an axis is repeated in [${String(axes)}]`);
  return list.every((axis, i) => i === 0 || axis > list[i - 1]!) ? list : list.sort((a, b) => a - b);
}

/** NumPy broadcasting of several shapes. @throws ShapeError naming the op, both shapes and the axis */
export function broadcastShapes(op: string, shapes: readonly Shape[]): Shape {
  const first = shapes[0] ?? [];
  let areAlike = true;
  let rank = 0;
  for (let i = 0; i < shapes.length; i++) {
    areAlike &&= sameShape(shapes[i]!, first);
    rank = Math.max(rank, shapes[i]!.length);
  }
  if (areAlike) return first;
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    for (let axis = rank - shape.length; axis < rank; axis++) {
      const n = shape[axis - rank + shape.length]!;
      if (n === 1 || n === result[axis]) continue;
      if (result[axis] !== 1)
        throw new ShapeError(
          `${op}: shapes ${shapes.map(shapeText).join(" and ")} do not broadcast: axis ${axis - rank} has ${result[axis]} and ${n}; sizes must be equal or 1`,
        );
      result[axis] = n;
    }
  }
  return result;
}

/** Whether a tensor of `shape` broadcasts to exactly `target`. */
export function broadcastsTo(shape: Shape, target: Shape): boolean {
  const offset = target.length - shape.length;
  return offset >= 0 && shape.every((n, axis) => n === 1 || n === target[axis + offset]);
}

/** Strides that walk a tensor of `shape` as if it had the broadcast shape `target`. */
export function broadcastStrides(shape: Shape, strides: readonly number[], target: Shape): number[] {
  const result = new Array<number>(target.length);
  for (let axis = 0; axis < target.length; axis++)
    result[axis] = isRepeated(shape, target, axis) ? 0 : strides[axis - target.length + shape.length]!;
  return result;
}

/** Whether a tensor of `shape` is repeated along an axis of `target`. */
function isRepeated(shape: Shape, target: Shape, axis: number): boolean {
  const own = axis - target.length + shape.length;
  return own < 0 || (shape[own] === 1 && target[axis] !== 1);
}

/** Axes of `target` along which a tensor of `shape` is repeated. */
export function broadcastAxes(shape: Shape, target: Shape): number[] {
  const axes: number[] = [];
  if (shape === target) return axes;
  for (let axis = 0; axis < target.length; axis++) if (isRepeated(shape, target, axis)) axes.push(axis);
  return axes;
}
