import type { Dtype } from "../dtype.ts";
import type { Shape } from "../shape.ts";
import type { Tensor, TensorLike } from "../tensor.ts";

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
  /** Calls the op. Results are compared one by one. */
  readonly run: (inputs: readonly TensorLike[]) => readonly Tensor[];
  /** False where finite differences mean nothing: steps, ties, integer results. */
  readonly differentiable: boolean;
  /** Whether ±0, ±∞, NaN and subnormals are fed too. */
  readonly special?: boolean;
}

/** An op as conformance sees it. */
export interface RegisteredOp {
  readonly name: string;
  readonly kind: "map" | "row" | "op" | "update";
  /** Ways of calling it, to be tried. */
  readonly cases: () => readonly OpCase[];
}

const ops = new Map<string, RegisteredOp>();

/** Every op defined so far, for conformance and the support table. */
export const registeredOps = (): readonly RegisteredOp[] => [...ops.values()];

export function register(op: RegisteredOp): void {
  if (ops.has(op.name)) throw new Error(`op "${op.name}" is defined twice`);
  ops.set(op.name, op);
}
