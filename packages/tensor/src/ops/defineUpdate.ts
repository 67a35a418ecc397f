import { ShapeError } from "../errors.ts";
import type { Expr } from "../kernel/expr.ts";
import { makeProgram, type Program, readOperand, updateOperand } from "../kernel/program.ts";
import { memo } from "../memo.ts";
import { sameShape, shapeText } from "../shape.ts";
import type { Tensor, TensorLike } from "../tensor.ts";
import { identity } from "./arithmetic.ts";
import type { OpCase } from "./cases.ts";
import { checkApart, checkSource, openTargets } from "./inPlace.ts";
import { inputRules, type Takes } from "./inputs.ts";
import { register, type Trials } from "./registry.ts";
import { launchOver } from "./result.ts";
import { type Signature, sortInputs } from "./signature.ts";

/** Overwrites `targets`, which share one shape; `inputs` broadcast to it. */
export type UpdateOp = (targets: readonly Tensor[], inputs: readonly TensorLike[]) => void;

/** What `defineUpdate` must be told. */
export interface UpdateOptions extends Trials<UpdateOp> {
  /** Names and element types of the targets and then the inputs, which may be numbers. */
  readonly takes: Takes;
}

/** What a case of an update does: copies of the first `targets` inputs are overwritten, and compared. */
export const overwrites = (op: UpdateOp, targets: number): Pick<OpCase, "run" | "differentiable"> => ({
  run: (...inputs) => {
    const copies = inputs.slice(0, targets).map((x) => identity(x));
    op(copies, inputs.slice(targets));
    return copies;
  },
  differentiable: false,
});

/**
 * Defines an elementwise change in place, for optimisers, averages and running statistics: `build` gives each target's new
 * value from all old values. Never recorded; refused for results of recorded ops, and for targets that share elements with
 * another target or input.
 */
export function defineUpdate(
  name: string,
  build: (targets: Expr[], inputs: Expr[]) => Expr[],
  { takes, cases, refuses }: UpdateOptions,
): UpdateOp {
  /** By the number of targets. */
  const programs = new Map<number, Map<Signature, Program>>();
  const rules = inputRules(takes, true);
  const update: UpdateOp = (targets, inputs) => {
    const count = targets.length;
    const { signature, tensors, numbers } = sortInputs(name, [...targets, ...inputs], rules);
    const [first] = targets as [Tensor];
    for (const { shape } of targets)
      if (!sameShape(shape, first.shape))
        throw new ShapeError(
          `${name}: targets are ${shapeText(first.shape)} and ${shapeText(shape)}; they must be alike`,
        );
    for (const tensor of tensors) checkSource(name, tensor, first);
    checkApart(name, tensors, count);
    openTargets(name, ...targets);
    const program = memo(
      memo(programs, count, () => new Map<Signature, Program>()),
      signature,
      () => {
        const { dtypes, paramDtypes, leaves } = signature;
        const values = build(leaves.slice(0, count) as Expr[], leaves.slice(count) as Expr[]);
        return makeProgram(name, {
          operands: dtypes.map((dtype, i) => (i < count ? updateOperand(dtype) : readOperand(dtype))),
          params: paramDtypes,
          stages: [{ kind: "store", perRow: false, writes: values.map((expr, operand) => ({ operand, expr })) }],
        });
      },
    );
    launchOver(program, { shape: first.shape }, { tensors, numbers });
  };
  const call = (target: Tensor, ...inputs: Tensor[]): void => update([target], inputs);
  register({ name, kind: "update", op: update, rules, call, cases, refuses });
  return update;
}
