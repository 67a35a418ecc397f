import { closest } from "./closest.ts";
import type { Dtype } from "./dtype.ts";
import { ArgumentError, ShapeError } from "./errors.ts";
import { ACTIVATIONS } from "./kernel/activation.ts";
import { memo } from "./memo.ts";
import { Tensor } from "./tensor.ts";

/** What an option or an argument takes, in words, and whether a value is that. */
export interface OptionRule {
  readonly takes: string;
  /** Whether a value is one of them. */
  fits(value: unknown): boolean;
  /** Whether it may not be left out. */
  readonly isNeeded?: boolean;
  /** A value that fits, and some that do not, for calls that conformance tries. */
  readonly examples?: readonly [right: unknown, ...wrong: unknown[]];
  /** Whether a value of the right kind that does not fit is a ShapeError; other misfits are ArgumentErrors. */
  readonly ofShape?: boolean;
  /** Checks what is inside a value that fits. */
  inside?(op: string, name: string, value: never): void;
}

/** A rule for every option that `Options` has: the compiler keeps the list complete. */
export type OptionRules<Options> = { readonly [Key in keyof Options]-?: OptionRule };

const isWhole = (value: unknown, from: number): boolean => Number.isSafeInteger(value) && (value as number) >= from;
const areWhole = (value: unknown, from: number): value is readonly number[] =>
  Array.isArray(value) && value.every((n) => isWhole(n, from));

type Examples = NonNullable<OptionRule["examples"]>;
const rule = (takes: string, fits: OptionRule["fits"], examples: Examples): OptionRule => ({ takes, fits, examples });
const isNumber = (value: unknown): value is number => typeof value === "number";

/** A whole number from `from` on. */
export const whole = (from: number): OptionRule =>
  rule(`a whole number from ${from} on`, (value) => isWhole(value, from), [from, from - 1]);
/** A whole number from `from` on, or a list of them of one of the `lengths`. */
export const wholes = (from: number, lengths: readonly number[]): OptionRule =>
  rule(
    `a whole number from ${from} on, or a list of ${lengths.join(" or ")} of them`,
    (value) => isWhole(value, from) || (areWhole(value, from) && lengths.includes(value.length)),
    [from, from - 1],
  );
/** The same for an option that may not be left out. */
export const needed = (rule: OptionRule): OptionRule => ({ ...rule, isNeeded: true });
/** The same of a shape, so that a wrong value of the right kind is a ShapeError. */
export const aboutShape = (rule: OptionRule): OptionRule => ({ ...rule, ofShape: true });
/** A list of `length` whole numbers from `from` on. */
export const listOf = (length: number, from: number): OptionRule =>
  rule(`a list of ${length} whole numbers from ${from} on`, (v) => areWhole(v, from) && v.length === length, [
    new Array(length).fill(from),
    [],
  ]);
/** One of the texts. */
export const oneOf = (texts: readonly string[]): OptionRule =>
  rule(`one of ${texts.join(", ")}`, (value) => texts.includes(value as string), [texts[0], ""]);
/** A number, NaN and infinities too. */
export const anyNumber = rule("a number", isNumber, [1, "1"]);
/** A number that is not NaN. */
export const real = rule("a number", (value) => isNumber(value) && !Number.isNaN(value), [1, Number.NaN]);
/** A number from `low` to `high`, both included. */
export const between = (low: number, high: number): OptionRule =>
  rule(`a number from ${low} to ${high}`, (value) => isNumber(value) && value >= low && value <= high, [low, high + 1]);
/** A text. */
export const text = rule("a text", (value) => typeof value === "string", ["", 1]);
/** Anything: who takes it says what it may be. */
export const anything = rule("anything", () => true, [1]);
/** A function. */
export const callable = rule("a function", (value) => typeof value === "function", [() => {}, 1]);
/** true or false. */
export const flag = rule("true or false", (value) => typeof value === "boolean", [true, 1]);
const isThing = (value: unknown): boolean =>
  (typeof value === "object" && value !== null) || typeof value === "function";
/** An object or a function. What it must hold is checked by who uses it. */
export const thing = rule("an object", isThing, [{}, 1]);
/** An object, a function or a number: what initialises a parameter. */
export const numberOrThing = rule("a number or a function", (v) => real.fits(v) || isThing(v), [1, Number.NaN]);
/** The name of an activation. */
export const activationOption = oneOf(ACTIVATIONS);
const DTYPES = { f32: true, i32: true, bool: true } satisfies Record<Dtype, true>;
/** An element type. */
export const dtypeOption = oneOf(Object.keys(DTYPES));

/** A whole number, negative ones too. */
export const integer = rule("a whole number", Number.isSafeInteger, [0, 0.5]);
/** A number of elements along an axis. */
export const sizeOption = aboutShape(whole(0));
/** Sizes of all axes, each from `from` on. */
export const sizesFrom = (from: number): OptionRule =>
  aboutShape(rule(`a list of whole numbers from ${from} on`, (value) => areWhole(value, from), [[2], [from - 1]]));
/** An axis; negative ones count from the last. */
export const axisOption = aboutShape(rule("the number of an axis", Number.isSafeInteger, [0, 99]));
const isAxes = (value: unknown): boolean => Number.isSafeInteger(value) || areWhole(value, Number.NEGATIVE_INFINITY);
/** One axis or several. */
export const axesOption = aboutShape(rule("the number of an axis, or a list of them", isAxes, [0, 99]));
/** A list, each entry of which fits `rule`. */
export const list = (rule: OptionRule): OptionRule => ({
  takes: `a list, each entry ${rule.takes}`,
  fits: Array.isArray,
  examples: (rule.examples ?? [undefined]).map((value) => [value]) as [unknown],
  ofShape: rule.ofShape === true,
  inside: (op, name, value: readonly unknown[]) => {
    value.forEach((entry, i) => {
      if (rule.inside || !rule.fits(entry)) checkValue(op, `${name}[${i}]`, entry, rule);
    });
  },
});
/** An object of options. */
export const options = <Options extends object>(rules: OptionRules<Options>): OptionRule => {
  const entries = Object.entries<OptionRule>(rules);
  const names = Object.keys(rules);
  const must = entries.filter(([, { isNeeded }]) => isNeeded);
  const right = Object.fromEntries(must.map(([key, { examples }]) => [key, examples?.[0]]));
  return {
    takes: `an object of options: { ${names.join(", ")} }`,
    fits: (value) => typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Tensor),
    examples: [
      right,
      { ...right, "no option": 1 },
      ...entries.flatMap(([key, { examples = [] }]) => examples.slice(1).map((wrong) => ({ ...right, [key]: wrong }))),
    ],
    inside: (op, _, value: Options) => {
      const given = Object.keys(value) as (keyof Options & string)[];
      for (const key of given) {
        if (!Object.hasOwn(rules, key)) {
          const guess = closest(key, names);
          throw new ArgumentError(
            `${op}: there is no option "${key}"; ${guess ? `did you mean "${guess}"?` : `there are ${names.join(", ")}`}`,
          );
        }
        const { isNeeded } = rules[key];
        if (isNeeded || value[key] !== undefined) checkValue(op, key, value[key], rules[key]);
      }
      for (const [key, rule] of must) if (!Object.hasOwn(value, key)) checkValue(op, key, undefined, rule);
    },
  };
};

/** A value in a message: what kind of thing it is. */
export function whatIs(value: unknown): string {
  if (value instanceof Tensor) return `a tensor of ${value.dtype} [${value.shape.join(", ")}]`;
  if (Array.isArray(value))
    return value.every((n) => typeof n === "number") && value.length < 9
      ? `the list [${value.join(", ")}]`
      : `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return `an object (${value.constructor?.name ?? "without class"})`;
  if (typeof value === "string") return JSON.stringify(value);
  return typeof value === "function" ? "a function" : String(value);
}

/** @throws ArgumentError when `given` is no object of options, has a key without a rule, or a value that its rule does not take */
export function checkOptions<Options extends object>(op: string, given: Options, rules: OptionRules<Options>): void {
  checkValue(
    op,
    "options",
    given,
    memo(asRule, rules, () => options(rules)),
  );
}

const asRule = new WeakMap<object, OptionRule>();

/** What a value that a rule does not take is refused with. */
export function refusalOf(
  { ofShape, examples: [right] = [undefined] }: OptionRule,
  value: unknown,
): typeof ArgumentError | typeof ShapeError {
  return ofShape && typeof value === typeof right && Array.isArray(value) === Array.isArray(right)
    ? ShapeError
    : ArgumentError;
}

/** @throws ArgumentError, or ShapeError for a value about shapes, when a value is not what its rule takes */
export function checkValue(op: string, name: string, value: unknown, rule: OptionRule): void {
  if (rule.fits(value)) rule.inside?.(op, name, value as never);
  else
    throw new (refusalOf(rule, value))(
      `${op}: ${name} is ${value === undefined ? "missing" : whatIs(value)}; it takes ${rule.takes}`,
    );
}
