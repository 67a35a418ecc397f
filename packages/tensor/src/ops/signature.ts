import type { Dtype } from "../dtype.ts";
import { DtypeError } from "../errors.ts";
import { type Expr, load, param } from "../kernel/expr.ts";
import { Tensor, type TensorLike } from "../tensor.ts";

/** Inputs of a map or row, sorted into tensors (operands) and numbers (run-time parameters). */
export interface Signature {
  /** Distinguishes programs: dtypes in order, numbers marked. */
  readonly text: string;
  readonly tensors: readonly Tensor[];
  readonly numbers: readonly number[];
  readonly dtypes: readonly Dtype[];
  readonly paramDtypes: readonly Dtype[];
  /** What the op's definition is called with, one expression per input. */
  readonly leaves: readonly Expr[];
}

/** Sorts inputs; a number takes the dtype of the first tensor. @throws DtypeError when all inputs are numbers */
export function signatureOf(op: string, inputs: readonly TensorLike[]): Signature {
  const tensors = inputs.filter((input) => input instanceof Tensor);
  const first = tensors[0];
  if (!first) throw new DtypeError(`${op}: at least one input must be a tensor`);
  const numberDtype: Dtype = first.dtype === "i32" ? "i32" : "f32";
  let text = "";
  let operand = 0;
  const numbers: number[] = [];
  const leaves = inputs.map((input) => {
    if (input instanceof Tensor) {
      text += `${input.dtype},`;
      return load(operand++, input.dtype);
    }
    text += `#${numberDtype},`;
    return param(numbers.push(input) - 1, numberDtype);
  });
  const dtypes = tensors.map((tensor) => tensor.dtype);
  return { text, tensors, numbers, dtypes, paramDtypes: numbers.map(() => numberDtype), leaves };
}
