import { load } from "../kernel/expr.ts";
import { foldProgram } from "../kernel/program.ts";
import { broadcastAxes, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { empty, launchOver } from "./result.ts";

const program = foldProgram("sumTo", { inputs: ["f32"], folds: [["sum", load(0)]] });

/** Sums x over the axes along which a tensor of `shape` was repeated to give x's shape, `into` a place if there is one. Not recorded: for gradients. */
export function sumTo(x: Tensor, shape: Shape, into?: Tensor): Tensor {
  const summed = broadcastAxes(shape, x.shape);
  if (summed.length === 0) return x;
  const output = into ?? empty(x.backend, shape, "f32");
  launchOver(program, { shape: x.shape, reduced: summed }, { tensors: [x, output] });
  return output;
}
