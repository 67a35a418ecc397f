import type { Dtype } from "../dtype.ts";
import { ArgumentError, DtypeError, OwnershipError } from "../errors.ts";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
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
  /** Calls the op with one tensor per input; a number is handed over as it is. Results are compared one by one. */
  readonly run: (...inputs: Tensor[]) => readonly Tensor[];
  /** False where finite differences mean nothing: steps, ties, integer results. Default true. */
  readonly differentiable?: boolean;
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

/** A call that an op must refuse: `error` is thrown, the same on every backend, and nothing stays allocated. */
export interface Refusal {
  readonly name: string;
  readonly inputs: OpCase["inputs"];
  /** The wrong call. */
  readonly run: (...inputs: Tensor[]) => unknown;
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

/** What conformance is told about an op. */
export interface Trials<Op> {
  /** What conformance tries. */
  readonly cases: (op: Op) => readonly OpCase[];
  /** What the op must refuse, beside wrong inputs. */
  readonly refuses?: ((op: Op) => readonly Refusal[]) | undefined;
}

interface Registration<Op> extends Trials<Op>, Pick<RegisteredOp, "name" | "kind"> {
  /** What is handed to `cases` and `refuses`. */
  readonly op?: Op;
  /** What its inputs may be; absent where it takes none. */
  readonly rules?: readonly InputRule[];
  /** Calls it with inputs that fail whatever else is wrong; default: its first case, whose inputs are those of `rules`. */
  readonly call?: Refusal["run"];
}

const ops = new Map<string, RegisteredOp>();

/** Every op defined so far, for conformance and the support table. */
export const registeredOps = (): readonly RegisteredOp[] => [...ops.values()];

/** Makes an op known to conformance. */
export function register<Op = undefined>({ name, kind, op, rules = [], call, ...trials }: Registration<Op>): void {
  if (ops.has(name)) throw new Error(`op "${name}" is defined twice`);
  const cases = () => trials.cases(op as Op);
  const typical = (): Pick<Refusal, "inputs" | "run"> =>
    call ? { inputs: rules.map(({ dtypes }) => ({ shape: [2], dtype: dtypes[0]! })), run: call } : cases()[0]!;
  const refusals = () => [...inputRefusals(rules, typical()), ...(trials.refuses?.(op as Op) ?? [])];
  ops.set(name, { name, kind, cases, refusals });
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
      run: (...tensors) => run(...tensors.map((t, k) => (k === i ? spoil(t) : t) as Tensor)),
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
