import { load } from "../kernel/expr.ts";
import { foldProgram } from "../kernel/program.ts";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { bind, launchInto } from "./result.ts";

const program = foldProgram("contract", { inputs: ["f32", "f32"], folds: [["sum", load(0).mul(load(1))]] });

/** A factor of a contraction: a tensor and its element strides along the kept axes, then the summed ones; 0 where it stands still. */
export interface Factor {
  readonly tensor: Tensor;
  readonly strides: readonly number[];
  /** Elements from the tensor's first one; default 0. */
  readonly start?: number;
}

/**
 * Sum of products over `summed` axes for every index of the `kept` axes: the meaning of matmul, of convolution and of
 * both its gradients, which differ in strides alone. Not recorded.
 */
export function contract(axes: { kept: Shape; summed: Shape }, a: Factor, b: Factor): Tensor {
  const operand = ({ tensor, strides, start = 0 }: Factor) => {
    const binding = bind(tensor, strides);
    return { ...binding, offset: binding.offset + start };
  };
  const { kept, summed: folded } = axes;
  return launchInto(program, { backend: a.tensor.backend, kept, folded, operands: [operand(a), operand(b)] })[0]!;
}
