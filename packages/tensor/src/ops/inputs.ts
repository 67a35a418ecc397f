import type { Backend } from "../backend.ts";
import type { Dtype } from "../dtype.ts";
import { ArgumentError, BackendError, DtypeError, OwnershipError } from "../errors.ts";
import { whatIs } from "../options.ts";
import { Tensor } from "../tensor.ts";

/**
 * The inputs of an op, in order: their names where all are f32, or the element types that each may have. A name that ends
 * in "?" may be left out. Inputs that may have several element types share one.
 */
export type Takes = readonly string[] | Readonly<Record<string, Dtype | readonly Dtype[]>>;

/** What an op takes in one place. */
export interface InputRule {
  readonly name: string;
  readonly dtypes: readonly Dtype[];
  /** Whether it may be left out. */
  readonly optional: boolean;
  /** Whether a number may stand for it. */
  readonly numbers: boolean;
}

/** Every element type. */
export const ANY_DTYPE: readonly Dtype[] = ["f32", "i32", "bool"];

/** A rule for each input; with `numbers`, a number may stand for any. */
export const inputRules = (takes: Takes, numbers = false): InputRule[] =>
  (Array.isArray(takes) ? takes.map((name: string): [string, Dtype] => [name, "f32"]) : Object.entries(takes)).map(
    ([name, dtypes]) => ({
      name: name.replace("?", ""),
      dtypes: typeof dtypes === "string" ? [dtypes] : dtypes,
      optional: name.endsWith("?"),
      numbers,
    }),
  );

const REMEDY: Readonly<Record<Dtype, string>> = {
  f32: "toFloat(x) converts",
  i32: "toInt(x) converts",
  bool: "compare it first, as equal(x, 1) does",
};

/** @throws ArgumentError, OwnershipError or DtypeError, naming the op, the input, what it got, what it takes and the remedy */
export function checkTensor(op: string, input: unknown, { name, dtypes }: InputRule): asserts input is Tensor {
  if (!(input instanceof Tensor))
    throw new ArgumentError(
      input === undefined
        ? `${op}: ${name} is missing; it takes a tensor of ${dtypes.join(" or ")}`
        : `${op}: ${name} is ${whatIs(input)}; it takes a tensor of ${dtypes.join(" or ")}, as tensor(values, shape) makes one`,
    );
  if (!input.isLive)
    throw new OwnershipError(`${op}: ${name} was freed; keep(t) takes a tensor out of the scope that frees it`);
  if (!dtypes.includes(input.dtype))
    throw new DtypeError(
      `${op}: ${name} is ${input.dtype} [${input.shape}]; it takes ${dtypes.join(" or ")}: ${REMEDY[dtypes[0]!]}`,
    );
}

/**
 * Checks what an op is called with, before anything is allocated; gives the backend that its inputs live on.
 * @throws ArgumentError, OwnershipError, DtypeError, BackendError
 */
export function checkInputs(op: string, inputs: readonly unknown[], rules: readonly InputRule[]): Backend {
  let first: Tensor | undefined;
  let shared: Dtype | undefined;
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i]!;
    const input = inputs[i];
    if (input === undefined && rule.optional) continue;
    if (typeof input === "number" && rule.numbers) continue;
    checkTensor(op, input, rule);
    first ??= input;
    if (input.backend !== first.backend)
      throw new BackendError(
        `${op}: inputs live on two backends, ${first.backend.name} and ${input.backend.name}; read one and make it again on the other`,
      );
    if (rule.dtypes.length === 1) continue;
    shared ??= input.dtype;
    if (input.dtype !== shared)
      throw new DtypeError(
        `${op}: ${rule.name} is ${input.dtype}, another input ${shared}; they must be alike: convert one with toFloat or toInt`,
      );
  }
  if (inputs.length > rules.length)
    throw new ArgumentError(
      `${op}: takes ${rules.length} inputs (${rules.map((r) => r.name).join(", ")}), got ${inputs.length}`,
    );
  if (!first) throw new ArgumentError(`${op}: at least one input must be a tensor`);
  return first.backend;
}

const HOLDS: Readonly<Record<Dtype, (value: number) => boolean>> = {
  f32: () => true,
  i32: (value) => (value | 0) === value,
  bool: (value) => value === 0 || value === 1,
};
/** Whether an element type holds a number as it is. */
export const holds = (dtype: Dtype, value: number): boolean => HOLDS[dtype](value);
const CONVERSION: Readonly<Record<Dtype, string>> = {
  f32: "",
  i32: "Math.trunc makes whole numbers, and f32 holds fractions and up to 3.4e38",
  bool: "x !== 0 ? 1 : 0 makes 0 and 1",
};

/** @throws ArgumentError for what is no number, DtypeError for a number that `dtype` does not hold; `name` is the value's */
export function checkNumber(op: string, value: unknown, { name, dtype }: { name: string; dtype: Dtype }): void {
  if (typeof value !== "number") throw new ArgumentError(`${op}: ${name} is ${whatIs(value)}; it must be a number`);
  if (!HOLDS[dtype](value))
    throw new DtypeError(`${op}: ${name} is ${value}, which ${dtype} does not hold; ${CONVERSION[dtype]}`);
}
