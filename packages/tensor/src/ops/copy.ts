import type { Backend } from "../backend.ts";
import type { Dtype } from "../dtype.ts";
import { load, param } from "../kernel/expr.ts";
import { launch } from "../kernel/launch.ts";
import { mapProgram, type Program } from "../kernel/program.ts";
import { broadcastStrides, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { bind, empty } from "./result.ts";

const DTYPES: readonly Dtype[] = ["f32", "i32", "bool"];
const perDtype = (make: (dtype: Dtype) => Program): Record<Dtype, Program> =>
  Object.fromEntries(DTYPES.map((dtype) => [dtype, make(dtype)])) as Record<Dtype, Program>;

const copyPrograms = perDtype((dtype) =>
  mapProgram("copy", { inputs: [dtype], params: [], outputs: [load(0, dtype)] }),
);
const fillPrograms = perDtype((dtype) =>
  mapProgram("fill", { inputs: [], params: [dtype], outputs: [param(0, dtype)] }),
);

/** Writes `source`, broadcast, into the elements `target` views. Not recorded: for new tensors and state without gradients. */
export function copyInto(target: Tensor, source: Tensor): void {
  const strides = broadcastStrides(source.shape, source.strides, target.shape);
  launch(target.backend, copyPrograms[target.dtype], {
    mapSizes: target.shape,
    reduceSizes: [],
    operands: [bind(source, strides), bind(target)],
  });
}

/** Writes one value into the elements `target` views. Not recorded. */
export function fillInto(target: Tensor, value: number): void {
  launch(
    target.backend,
    fillPrograms[target.dtype],
    { mapSizes: target.shape, reduceSizes: [], operands: [bind(target)] },
    [value],
  );
}

/** A new tensor of one value. */
export function filled(backend: Backend, shape: Shape, options: { value: number; dtype: Dtype }): Tensor {
  const tensor = empty(backend, shape, options.dtype);
  fillInto(tensor, options.value);
  return tensor;
}

/** Zeros of the dtype and on the backend of `like`. */
export const zerosLike = (like: Tensor, shape: Shape = like.shape): Tensor =>
  filled(like.backend, shape, { value: 0, dtype: like.dtype });
