import type { Backend } from "../backend.ts";
import type { Dtype } from "../dtype.ts";
import { load, param } from "../kernel/expr.ts";
import { mapProgram, type Program } from "../kernel/program.ts";
import { anyNumber, sizesFrom } from "../options.ts";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { defineCall } from "./defineCall.ts";
import { checkSource, openTargets, shareElements } from "./inPlace.ts";
import { ANY, checkNumber } from "./inputs.ts";
import { empty, launchOver } from "./result.ts";

/** A program for each element type. */
export const perDtype = (make: (dtype: Dtype) => Program): Record<Dtype, Program> =>
  Object.fromEntries(ANY.map((dtype) => [dtype, make(dtype)])) as Record<Dtype, Program>;

const copyPrograms = perDtype((dtype) =>
  mapProgram("copy", { inputs: [dtype], params: [], outputs: [load(0, dtype)] }),
);
const fillPrograms = perDtype((dtype) =>
  mapProgram("fill", { inputs: [], params: [dtype], outputs: [param(0, dtype)] }),
);

/**
 * Writes `source`, broadcast, into the elements `target` views; where the two share elements, as if from a copy. Not
 * recorded: for new tensors and state without gradients.
 * @throws ShapeError, DtypeError, GradientError, OwnershipError, BackendError
 */
export const copyInto = defineCall("copyInto", { target: ANY, source: ANY }, (target: Tensor, source: Tensor): void => {
  checkSource("copyInto", source, target);
  openTargets("copyInto", target);
  if (shareElements(target, source)) {
    using copy = empty(source.backend, source.shape, source.dtype);
    run(copy, source);
    run(target, copy);
  } else run(target, source);
});

const run = (target: Tensor, source: Tensor): void =>
  launchOver(copyPrograms[target.dtype], target, { tensors: [source, target] });

/** Writes one value into the elements `target` views. Not recorded. @throws DtypeError, GradientError, OwnershipError */
export const fillInto = defineCall("fillInto", { target: ANY, value: anyNumber }, (target: Tensor, value: number) => {
  checkNumber("fillInto", value, { name: "the value", dtype: target.dtype });
  openTargets("fillInto", target);
  launchOver(fillPrograms[target.dtype], target, { tensors: [target], numbers: [value] });
});

/** A new tensor of one value. */
export function filled(backend: Backend, shape: Shape, options: { value: number; dtype: Dtype }): Tensor {
  const tensor = empty(backend, shape, options.dtype);
  fillInto(tensor, options.value);
  return tensor;
}

/** Zeros of the dtype and on the backend of `like`. */
export const zerosLike = defineCall(
  "zerosLike",
  { like: ANY, "shape?": sizesFrom(0) },
  (like: Tensor, shape: Shape = like.shape): Tensor => filled(like.backend, shape, { value: 0, dtype: like.dtype }),
);
