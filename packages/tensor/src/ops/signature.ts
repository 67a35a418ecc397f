import type { Backend } from "../backend.ts";
import type { Dtype } from "../dtype.ts";
import { type Expr, load, param } from "../kernel/expr.ts";
import { Tensor, type TensorLike } from "../tensor.ts";
import { checkInputs, checkNumber, type InputRule } from "./inputs.ts";

/** What of a map's or row's inputs decides its programs: which are tensors, which numbers, and the element types of all. */
export interface Signature {
  readonly dtypes: readonly Dtype[];
  readonly paramDtypes: readonly Dtype[];
  /** What the op's definition is called with, one expression per input. */
  readonly leaves: readonly Expr[];
  /** Signatures with one more input, by its element type. */
  readonly withTensor: { [D in Dtype]?: Signature };
  readonly withNumber: { [D in Dtype]?: Signature };
}

/** Inputs of a map or row, sorted into tensors (operands) and numbers (run-time parameters). */
export interface Sorted {
  /** One and the same object for inputs alike, of any op. */
  readonly signature: Signature;
  /** Where all the tensors are. */
  readonly backend: Backend;
  readonly tensors: readonly Tensor[];
  readonly numbers: readonly number[];
}

const ofNothing: Signature = { dtypes: [], paramDtypes: [], leaves: [], withTensor: {}, withNumber: {} };

function addTensor(to: Signature, dtype: Dtype): Signature {
  to.withTensor[dtype] ??= {
    dtypes: [...to.dtypes, dtype],
    paramDtypes: to.paramDtypes,
    leaves: [...to.leaves, load(to.dtypes.length, dtype)],
    ...{ withTensor: {}, withNumber: {} },
  };
  return to.withTensor[dtype];
}

function addNumber(to: Signature, dtype: Dtype): Signature {
  to.withNumber[dtype] ??= {
    dtypes: to.dtypes,
    paramDtypes: [...to.paramDtypes, dtype],
    leaves: [...to.leaves, param(to.paramDtypes.length, dtype)],
    ...{ withTensor: {}, withNumber: {} },
  };
  return to.withNumber[dtype];
}

/**
 * Checks and sorts inputs. A number has its input's element type, or that of the tensors with which its input shares one.
 * @throws ArgumentError, OwnershipError, DtypeError, BackendError
 */
export function sortInputs(op: string, inputs: readonly TensorLike[], rules: readonly InputRule[]): Sorted {
  const backend = checkInputs(op, inputs, rules)!;
  const tensors: Tensor[] = [];
  const numbers: number[] = [];
  let signature = ofNothing;
  for (let i = 0; i < inputs.length; i++) {
    const input = inputs[i];
    if (input instanceof Tensor) {
      tensors.push(input);
      signature = addTensor(signature, input.dtype);
      continue;
    }
    const dtype = numberDtype(inputs, rules, i);
    checkNumber(op, input, { name: rules[i]!.name, dtype });
    numbers.push(input as number);
    signature = addNumber(signature, dtype);
  }
  return { signature, backend, tensors, numbers };
}

function numberDtype(inputs: readonly TensorLike[], rules: readonly InputRule[], i: number): Dtype {
  const { dtypes } = rules[i]!;
  if (dtypes.length === 1) return dtypes[0]!;
  const peer = inputs.find((input, k) => input instanceof Tensor && rules[k]!.dtypes.length > 1) as Tensor | undefined;
  return peer?.dtype ?? "f32";
}
