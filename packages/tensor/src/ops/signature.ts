import type { Backend } from "../backend.ts";
import type { Dtype } from "../dtype.ts";
import { type Expr, load, param } from "../kernel/expr.ts";
import { Tensor, type TensorLike } from "../tensor.ts";
import { checkInputs, checkNumber, type InputRule } from "./inputs.ts";

/** Inputs of a map or row, sorted into tensors (operands) and numbers (run-time parameters). */
export interface Signature {
  /** Distinguishes programs: dtypes in order, numbers marked. */
  readonly text: string;
  /** Where all the tensors are. */
  readonly backend: Backend;
  readonly tensors: readonly Tensor[];
  readonly numbers: readonly number[];
  readonly dtypes: readonly Dtype[];
  readonly paramDtypes: readonly Dtype[];
  /** What the op's definition is called with, one expression per input. */
  readonly leaves: readonly Expr[];
}

/**
 * Checks and sorts inputs. A number has its input's element type, or that of the tensors with which its input shares one.
 * @throws ArgumentError, OwnershipError, DtypeError, BackendError
 */
export function signatureOf(op: string, inputs: readonly TensorLike[], rules: readonly InputRule[]): Signature {
  const backend = checkInputs(op, inputs, rules)!;
  let text = "";
  const tensors: Tensor[] = [];
  const numbers: number[] = [];
  const dtypes: Dtype[] = [];
  const paramDtypes: Dtype[] = [];
  const leaves = inputs.map((input, i) => {
    if (input instanceof Tensor) {
      text += `${input.dtype},`;
      tensors.push(input);
      return load(dtypes.push(input.dtype) - 1, input.dtype);
    }
    const dtype = numberDtype(inputs, rules, i);
    checkNumber(op, input, { name: rules[i]!.name, dtype });
    text += `#${dtype},`;
    paramDtypes.push(dtype);
    return param(numbers.push(input) - 1, dtype);
  });
  return { text, backend, tensors, numbers, dtypes, paramDtypes, leaves };
}

function numberDtype(inputs: readonly TensorLike[], rules: readonly InputRule[], i: number): Dtype {
  const { dtypes } = rules[i]!;
  if (dtypes.length === 1) return dtypes[0]!;
  const peer = inputs.find((input, k) => input instanceof Tensor && rules[k]!.dtypes.length > 1) as Tensor | undefined;
  return peer?.dtype ?? "f32";
}
