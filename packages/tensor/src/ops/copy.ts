import type { Backend } from "../backend.ts";
import type { Dtype } from "../dtype.ts";
import { load, param } from "../kernel/expr.ts";
import { mapProgram } from "../kernel/program.ts";
import { anyNumber, sizesFrom } from "../options.ts";
import { type Shape, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { defineCall } from "./defineCall.ts";
import { checkSource, openTargets, shareElements } from "./inPlace.ts";
import { ANY, checkNumber } from "./inputs.ts";
import { empty, launchOver } from "./result.ts";

/** Something for each element type. */
export const perDtype = <T>(make: (dtype: Dtype) => T): Record<Dtype, T> =>
  Object.fromEntries(ANY.map((dtype) => [dtype, make(dtype)])) as Record<Dtype, T>;

/** Copies in one kernel: with their target no more buffers than every WebGPU device binds. */
const MOST_COPIES = 7;
/** Of one tensor, of two, and so on. */
const copyPrograms = perDtype((dtype) =>
  Array.from({ length: MOST_COPIES }, (_, i) => {
    const inputs = Array.from({ length: i + 1 }, () => dtype);
    return mapProgram("copy", { inputs, params: [], outputs: inputs.map((_, k) => load(k, dtype)) });
  }),
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
  launchOver(copyPrograms[target.dtype][0]!, target, { tensors: [source, target] });

/** Writes sources of one dtype into places of new tensors, each shaped like its source; those of one shape together. */
export function copyAll(pairs: readonly (readonly [place: Tensor, source: Tensor])[]): void {
  for (let rest = pairs; rest.length > 0; ) {
    const [, first] = rest[0]!;
    const alike = rest.filter(([, { shape }]) => sameShape(shape, first.shape)).slice(0, MOST_COPIES);
    rest = rest.filter((pair) => !alike.includes(pair));
    const tensors = [...alike.map(([, source]) => source), ...alike.map(([place]) => place)];
    launchOver(copyPrograms[first.dtype][alike.length - 1]!, first, { tensors });
  }
}

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
