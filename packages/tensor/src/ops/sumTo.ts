import { broadcastAxes, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { sum } from "./reduce.ts";

/** Sums over the axes along which a tensor of `shape` was repeated to give `tensor`'s shape. */
export function sumTo(tensor: Tensor, shape: Shape): Tensor {
  const axes = broadcastAxes(shape, tensor.shape);
  return axes.length === 0 ? tensor : sum(tensor, axes, { keepDim: true }).reshape(shape);
}
