import type { Dtype } from "../dtype.ts";
import { ArgumentError, DtypeError, OwnershipError } from "../errors.ts";
import type { Shape } from "../shape.ts";
import type { Tensor, TensorLike } from "../tensor.ts";
import { ANY_DTYPE, type InputRule } from "./inputs.ts";

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

/** Cases of an op whose rows are the last axis: `inputs` belong to a row of each of `shape`; one has no rows at all. */
export const lastAxisCases = (inputs: (shape: Shape) => OpCase["inputs"], run: OpCase["run"]) => (): OpCase[] =>
  [[2, 3, 5], [1, 4, 33], [7], [0, 3]].map((shape) => ({
    name: JSON.stringify(shape),
    inputs: inputs(shape),
    run,
    differentiable: true,
  }));

/** A call that an op must refuse: `error` is thrown, the same on every backend, and nothing stays allocated. */
export interface Refusal {
  readonly name: string;
  readonly inputs: OpCase["inputs"];
  readonly run: (inputs: readonly TensorLike[]) => unknown;
  readonly error: abstract new (...args: never[]) => Error;
}

/** An op as conformance sees it. */
export interface RegisteredOp {
  readonly name: string;
  readonly kind: "map" | "row" | "op" | "update";
  /** Ways of calling it, to be tried. */
  readonly cases: () => readonly OpCase[];
  /** Calls that it must refuse, to be tried. */
  readonly refusals: () => readonly Refusal[];
}

/** What an op is registered with. */
export interface Registration extends Omit<RegisteredOp, "refusals"> {
  /** What its inputs may be; absent where it takes none. */
  readonly rules?: readonly InputRule[];
  /** Calls it with inputs that fail whatever else is wrong; default: its first case, whose inputs are those of `rules`. */
  readonly call?: Refusal["run"];
  /** Refusals of its own, beside those that follow from `rules`. */
  readonly refuses?: (() => readonly Refusal[]) | undefined;
}

const ops = new Map<string, RegisteredOp>();

/** Every op defined so far, for conformance and the support table. */
export const registeredOps = (): readonly RegisteredOp[] => [...ops.values()];

/** Makes an op known to conformance. */
export function register({ rules = [], call, refuses, ...op }: Registration): void {
  if (ops.has(op.name)) throw new Error(`op "${op.name}" is defined twice`);
  const typical = (): Pick<Refusal, "inputs" | "run"> =>
    call ? { inputs: rules.map(({ dtypes }) => ({ shape: [2], dtype: dtypes[0]! })), run: call } : op.cases()[0]!;
  const refusals = (): Refusal[] => [...inputRefusals(rules, typical()), ...(refuses?.() ?? [])];
  ops.set(op.name, { ...op, refusals });
}

/** A typical call, with one input after the other freed, no tensor, or of an element type that the op does not take. */
function inputRefusals(rules: readonly InputRule[], { inputs, run }: Pick<Refusal, "inputs" | "run">): Refusal[] {
  return inputs.flatMap((input, i): Refusal[] => {
    const rule = rules[i];
    if (typeof input === "number" || !rule) return [];
    const wrong = ANY_DTYPE.find((dtype) => !rule.dtypes.includes(dtype));
    const spoiled = (name: string, spoil: (tensor: Tensor) => unknown, error: Refusal["error"]): Refusal => ({
      name: `${rule.name} ${name}`,
      inputs,
      run: (tensors) => run(tensors.map((t, k) => (k === i ? spoil(t as Tensor) : t) as Tensor)),
      error,
    });
    const freed = (tensor: Tensor): Tensor => {
      tensor.dispose();
      return tensor;
    };
    return [
      spoiled("freed", freed, OwnershipError),
      ...(rule.optional ? [] : [spoiled("missing", () => undefined, ArgumentError)]),
      spoiled("a list", () => [1, 2], ArgumentError),
      ...(wrong
        ? [
            {
              name: `${rule.name} of ${wrong}`,
              inputs: inputs.map((other, k) => (k === i ? { shape: input.shape, dtype: wrong } : other)),
              run,
              error: DtypeError,
            },
          ]
        : []),
    ];
  });
}
