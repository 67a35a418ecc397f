import type { Dtype } from "../dtype.ts";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** An input of a conformance case: values are drawn from `range`, or from 0…below−1 for i32. */
export interface CaseInput {
  readonly shape: Shape;
  readonly dtype?: Dtype;
  readonly range?: readonly [number, number];
  readonly below?: number;
}

/** One way of calling an op that `conformance` tries on every backend. */
export interface OpCase {
  readonly name: string;
  readonly inputs: readonly (CaseInput | number)[];
  /** Calls the op with one tensor per input; a number is handed over as it is. Results are compared one by one. */
  readonly run: (...inputs: Tensor[]) => readonly Tensor[];
  /** False where finite differences mean nothing: steps, ties, integer results. Default true. */
  readonly differentiable?: boolean;
  /** Whether tensors are changed in place, of which a recording of calls does not tell. */
  readonly updates?: boolean;
  /** Whether ±0, ±∞, NaN and subnormals are fed too. */
  readonly special?: boolean;
}

/** Shapes from text: "2x3 5" are [2, 3] and [5]. */
export const shapesOf = (text: string): Shape[] => text.split(" ").map((shape) => shape.split("x").map(Number));

/** A case for each shape of a text, or of a table with something that goes with it. The shape is the default name. */
export function casesOf<T = undefined>(
  table: string | Readonly<Record<string, T>>,
  make: (shape: Shape, value: T) => Omit<OpCase, "name"> & { readonly name?: string },
): OpCase[] {
  const rows =
    typeof table === "string"
      ? table.split(" ").map((text): [string, T] => [text, undefined as T])
      : Object.entries(table);
  return rows.map(([text, value]) => {
    const [shape] = shapesOf(text) as [Shape];
    return { name: JSON.stringify(shape), ...make(shape, value) };
  });
}

/** A case whose inputs have the shapes of a text, which names it. */
export const caseOf = (text: string, run: OpCase["run"]): OpCase => ({
  name: shapesOf(text)
    .map((shape) => JSON.stringify(shape))
    .join(" "),
  inputs: shapesOf(text).map((shape) => ({ shape })),
  run,
});

/** A call that an op must refuse: `error` is thrown, the same on every backend, and nothing stays allocated. */
export interface Refusal extends Pick<OpCase, "name" | "inputs"> {
  /** The wrong call. */
  readonly run: (...inputs: Tensor[]) => unknown;
  readonly error: abstract new (...args: never[]) => Error;
}
