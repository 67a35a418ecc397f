import type { Backend } from "../backend.ts";
import type { Dtype } from "../dtype.ts";
import { ArgumentError, BackendError, DtypeError, OwnershipError, ShapeError } from "../errors.ts";
import { memo } from "../memo.ts";
import { checkValue, type OptionRule, whatIs } from "../options.ts";
import { shapeText } from "../shape.ts";
import { Tensor } from "../tensor.ts";

/**
 * What a function takes, argument by argument: its name, and the element types of a tensor or the rule of another value. A
 * "?" after the name means that it may be left out, and a list the axes of a tensor: "x [B, C, H, W]", "weight? [D]",
 * "x [..., D]". Axes of one name must be alike; a number is a size. Names alone are tensors of f32. Tensors that may have
 * several element types share one.
 */
export type Takes = readonly string[] | Readonly<Record<string, Dtype | readonly Dtype[] | OptionRule>>;

/** What a function takes in one place. */
export interface InputRule {
  readonly name: string;
  /** Of a tensor; empty for another value. */
  readonly dtypes: readonly Dtype[];
  /** Of a tensor, whose rank is not checked without: names, and the sizes of those that are numbers. */
  readonly axes: readonly string[] | undefined;
  readonly fixed: readonly (number | undefined)[] | undefined;
  /** For each axis the number of its name among those of all inputs. */
  readonly kinds: readonly number[] | undefined;
  /** Of another value than a tensor. */
  readonly value: OptionRule | undefined;
  /** Whether it may be left out. */
  readonly optional: boolean;
  /** Whether a number may stand for it. */
  readonly numbers: boolean;
}

/** Every element type. */
export const ANY: readonly Dtype[] = ["f32", "i32", "bool"];
/** Those that one can calculate with. */
export const NUMBERS: readonly Dtype[] = ["f32", "i32"];

/** A rule for each input; with `numbers`, a number may stand for any. */
export function inputRules(takes: Takes, numbers = false): InputRule[] {
  const kindOf = new Map<string, number>();
  const numbered = (axis: string): number => memo(kindOf, axis, () => kindOf.size);
  return (Array.isArray(takes) ? takes.map((text: string) => [text, "f32"] as const) : Object.entries(takes)).map(
    ([text, kind]: readonly [string, Dtype | readonly Dtype[] | OptionRule]) => {
      const [, name, mark, axes] = /^(.+?)(\?)?(?: \[(.+)\])?$/.exec(text)!;
      const dtypes = typeof kind === "string" ? [kind] : Array.isArray(kind) ? kind : [];
      const value = dtypes.length === 0 ? (kind as OptionRule) : undefined;
      const names = axes?.split(", ");
      const fixed = names?.map((axis) => (Number.isNaN(+axis) ? undefined : +axis));
      const kinds = names?.map(numbered);
      return { name: name!, dtypes, value, axes: names, fixed, kinds, optional: mark !== undefined, numbers };
    },
  );
}

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

/** By the number of its name, of the call that is being checked; -1 where it is not known. */
const sizes: number[] = [];

/** @throws ShapeError unless tensors have the axes that are declared, those of one name alike */
function checkAxes(op: string, inputs: readonly unknown[], rules: readonly InputRule[]): void {
  sizes.fill(-1);
  for (let k = 0; k < rules.length; k++) {
    const { name, axes, fixed, kinds } = rules[k]!;
    const input = inputs[k];
    if (!axes || !kinds || !(input instanceof Tensor)) continue;
    const { shape } = input;
    const first = axes[0] === "..." ? 1 : 0;
    const outer = shape.length - axes.length;
    let fits = first === 0 ? outer === 0 : outer >= -1;
    for (let i = first; fits && i < axes.length; i++) {
      const kind = kinds[i]!;
      const size = shape[outer + i]!;
      while (sizes.length <= kind) sizes.push(-1);
      if (sizes[kind] === -1) sizes[kind] = fixed?.[i] ?? size;
      fits = size === sizes[kind];
    }
    if (fits) continue;
    const known = axes
      .map((axis, i) => ({ axis, size: sizes[kinds[i]!] ?? -1 }))
      .filter(({ axis, size }) => size >= 0 && Number.isNaN(+axis))
      .map(({ axis, size }) => `${axis} = ${size}`);
    throw new ShapeError(
      `${op}: ${name} is ${shapeText(shape)}; it takes [${axes.join(", ")}]${known.length > 0 ? ` with ${known.join(", ")}` : ""}`,
    );
  }
}

/**
 * Checks what a function is called with, before anything is allocated; gives the backend that its tensors live on.
 * @throws ArgumentError, OwnershipError, DtypeError, ShapeError, BackendError
 */
export function checkInputs(op: string, inputs: readonly unknown[], rules: readonly InputRule[]): Backend | undefined {
  let first: Tensor | undefined;
  let shared: Dtype | undefined;
  let hasAxes = false;
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i]!;
    const input = inputs[i];
    if (input === undefined && rule.optional) continue;
    if (rule.value) {
      checkValue(op, rule.name, input, rule.value);
      continue;
    }
    if (typeof input === "number" && rule.numbers) continue;
    checkTensor(op, input, rule);
    first ??= input;
    if (input.backend !== first.backend)
      throw new BackendError(
        `${op}: inputs live on two backends, ${first.backend.name} and ${input.backend.name}; read one and make it again on the other`,
      );
    if (rule.dtypes.length > 1) {
      shared ??= input.dtype;
      if (input.dtype !== shared)
        throw new DtypeError(
          `${op}: ${rule.name} is ${input.dtype}, another input ${shared}; they must be alike: convert one with toFloat or toInt`,
        );
    }
    hasAxes ||= rule.axes !== undefined;
  }
  if (inputs.length > rules.length)
    throw new ArgumentError(
      `${op}: takes ${rules.length} inputs (${rules.map((r) => r.name).join(", ")}), got ${inputs.length}: the last is ${whatIs(inputs.at(-1))}`,
    );
  if (hasAxes) checkAxes(op, inputs, rules);
  if (!first && rules[0]?.numbers) throw new ArgumentError(`${op}: at least one input must be a tensor`);
  return first?.backend;
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
