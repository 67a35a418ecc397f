import type { Backend } from "../backend.ts";
import type { Dtype } from "../dtype.ts";
import type { CaseInput, OpCase } from "../ops/cases.ts";
import { copyInto } from "../ops/copy.ts";
import { tensor } from "../ops/create.ts";
import { empty, sliceLayout } from "../ops/result.ts";
import { permute } from "../ops/view.ts";
import { Random } from "../random.ts";
import { sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** Values of one input: float32 numbers, whole numbers, or 0 and 1. */
export interface Drawn {
  readonly spec: CaseInput;
  readonly dtype: Dtype;
  readonly values: Float64Array;
}

/** Draws the inputs of a case; a number stays a number. The same name gives the same values. */
export function drawInputs(name: string, inputs: OpCase["inputs"]): (Drawn | number)[] {
  return inputs.map((spec, i) => {
    if (typeof spec === "number") return spec;
    const random = new Random(7).fork(`${name} ${i}`);
    const dtype = spec.dtype ?? "f32";
    const [low, high] = spec.range ?? [-1, 1];
    const draw = (): number => {
      if (dtype === "f32") return Math.fround(low + (high - low) * random.uniform());
      return dtype === "bool" ? random.integer(2) : spec.below ? random.integer(spec.below) : random.integer(41) - 20;
    };
    return { spec, dtype, values: Float64Array.from({ length: sizeOf(spec.shape) }, draw) };
  });
}

/** The same inputs but for the values of those of f32, which `change` is given with their positions. */
export const withFloats = (
  inputs: readonly (Drawn | number)[],
  change: (values: Float64Array, position: number) => Float64Array,
): (Drawn | number)[] =>
  inputs.map((input, k) =>
    typeof input === "number" || input.dtype !== "f32" ? input : { ...input, values: change(input.values, k) },
  );

const SPECIAL = [0, -0, Infinity, -Infinity, Number.NaN, 1e30, -1e30, 1e-40, -1e-40];

/** The same inputs with special values scattered over the f32 ones; `flush` turns subnormals into zeros. */
export function withSpecials(inputs: readonly (Drawn | number)[], flush: boolean): (Drawn | number)[] {
  return withFloats(inputs, (original, k) => {
    const values = original.slice();
    for (const [i, special] of SPECIAL.entries()) {
      const at = (i * 7 + k * 3) % Math.max(values.length, 1);
      if (at < values.length) values[at] = flush && Math.abs(special) < 1e-38 ? special * 0 : special;
    }
    return values;
  });
}

/** The memory layouts that views can have; each gives the elements of a contiguous tensor. */
const PLACES = {
  contiguous: (plain: Tensor): Tensor => plain,
  permuted(plain: Tensor): Tensor {
    const reversed = plain.shape.map((_, axis) => plain.rank - 1 - axis);
    return permute(permute(plain, reversed).contiguous(), reversed);
  },
  /** Every other element of a larger, poisoned tensor, off its start. */
  sliced(plain: Tensor): Tensor {
    const { backend, shape, dtype } = plain;
    const [sizes, ranges] = [shape.map((n) => 2 * n + 3), shape.map((n) => ({ start: 2, end: 2 + 2 * n, step: 2 }))];
    const around = empty(backend, sizes, dtype);
    const view = around.alias({ layout: sliceLayout(around, ranges) });
    copyInto(view, plain);
    return view;
  },
};

export type LayoutName = keyof typeof PLACES;
export const LAYOUTS = Object.keys(PLACES) as LayoutName[];

/** Makes the inputs on a backend, in one of the memory layouts; numbers stay what they are. */
export function placeInputs(backend: Backend, inputs: readonly (Drawn | number)[], layout: LayoutName): Tensor[] {
  return inputs.map((input) => (typeof input === "number" ? input : place(backend, input, layout)) as Tensor);
}

function place(backend: Backend, { spec: { shape }, dtype, values }: Drawn, layout: LayoutName): Tensor {
  return PLACES[layout](tensor(dtype === "f32" ? values : Int32Array.from(values), shape, { dtype, backend }));
}
