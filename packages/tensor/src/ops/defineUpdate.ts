import { GradientError, ShapeError } from "../errors.ts";
import type { Expr } from "../kernel/expr.ts";
import { launch } from "../kernel/launch.ts";
import { makeProgram, type Program, readOperand, updateOperand } from "../kernel/program.ts";
import { memo } from "../memo.ts";
import { broadcastStrides, sameShape, shapeText } from "../shape.ts";
import type { Tensor, TensorLike } from "../tensor.ts";
import { type OpCase, register } from "./registry.ts";
import { bind, commonBackend } from "./result.ts";
import { signatureOf } from "./signature.ts";

/** Overwrites `targets`, which share one shape; `inputs` broadcast to it. */
export type UpdateOp = (targets: readonly Tensor[], inputs: readonly TensorLike[]) => void;

/**
 * Defines an elementwise change in place, for optimisers, averages and running statistics: `build` gives each target's new
 * value from all old values. Never recorded; refused for results of recorded ops.
 */
export function defineUpdate(
  name: string,
  build: (targets: Expr[], inputs: Expr[]) => Expr[],
  options: { cases: () => readonly OpCase[] },
): UpdateOp {
  const programs = new Map<string, Program>();
  register({ name, kind: "update", cases: options.cases });
  return (targets, inputs) => {
    const shape = targets[0]!.shape;
    for (const target of targets) {
      if (!sameShape(target.shape, shape))
        throw new ShapeError(
          `${name}: targets are ${shapeText(shape)} and ${shapeText(target.shape)}; they must be alike`,
        );
      if (target.edge && !target.edge.node.leaf)
        throw new GradientError(
          `${name}: a recorded result can't be changed in place; its gradient needs the old value`,
        );
    }
    const signature = signatureOf(name, [...targets, ...inputs]);
    const count = targets.length;
    const program = memo(programs, `${count}:${signature.text}`, () => {
      const values = build(signature.leaves.slice(0, count) as Expr[], signature.leaves.slice(count) as Expr[]);
      return makeProgram(name, {
        operands: signature.dtypes.map((dtype, i) => (i < count ? updateOperand(dtype) : readOperand(dtype))),
        params: signature.paramDtypes,
        stages: [{ kind: "store", perRow: false, writes: values.map((expr, operand) => ({ operand, expr })) }],
      });
    });
    const operands = signature.tensors.map((t) => bind(t, broadcastStrides(t.shape, t.strides, shape)));
    launch(
      commonBackend(name, signature.tensors),
      program,
      { mapSizes: shape, reduceSizes: [], operands },
      signature.numbers,
    );
  };
}
