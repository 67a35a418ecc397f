import { load, row } from "../kernel/expr.ts";
import { launch } from "../kernel/launch.ts";
import { makeProgram, readOperand, writeOperand } from "../kernel/program.ts";
import { broadcastAxes, broadcastStrides, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { bind, empty } from "./result.ts";

const program = makeProgram("sumTo", {
  operands: [readOperand("f32"), writeOperand("f32")],
  params: [],
  stages: [
    { kind: "reduce", op: "sum", expr: load(0) },
    { kind: "store", perRow: true, writes: [{ operand: 1, expr: row(0) }] },
  ],
});

/** Sums x over the axes along which a tensor of `shape` was repeated to give x's shape. Not recorded: for gradients. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const summed = broadcastAxes(shape, x.shape);
  if (summed.length === 0) return x;
  const output = empty(x.backend, shape, "f32");
  const kept = x.shape.map((_, axis) => axis).filter((axis) => !summed.includes(axis));
  const walk = (tensor: Tensor) => {
    const strides = broadcastStrides(tensor.shape, tensor.strides, x.shape);
    return bind(
      tensor,
      [...kept, ...summed].map((axis) => strides[axis]!),
    );
  };
  launch(output.backend, program, {
    mapSizes: kept.map((axis) => x.shape[axis]!),
    reduceSizes: summed.map((axis) => x.shape[axis]!),
    operands: [walk(x), walk(output)],
  });
  return output;
}
