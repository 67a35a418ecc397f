import { closest } from "./closest.ts";
import type { Dtype } from "./dtype.ts";
import { ArgumentError } from "./errors.ts";
import { scalar } from "./kernel/activation.ts";
import { Tensor } from "./tensor.ts";

/** What an option takes, in words, and whether a value is that. */
export interface OptionRule {
  readonly takes: string;
  /** Whether a value is one of them. */
  fits(value: unknown): boolean;
  /** Whether it may not be left out. */
  readonly isNeeded?: boolean;
}

/** A rule for every option that `Options` has: the compiler keeps the list complete. */
export type OptionRules<Options> = { readonly [Key in keyof Options]-?: OptionRule };

const isWhole = (value: unknown, from: number): boolean => Number.isSafeInteger(value) && (value as number) >= from;

/** A whole number from `from` on. */
export const whole = (from: number): OptionRule => ({
  takes: `a whole number from ${from} on`,
  fits: (value) => isWhole(value, from),
});
/** A whole number from `from` on, or a list of them of one of the `lengths`. */
export const wholes = (from: number, lengths: readonly number[]): OptionRule => ({
  takes: `a whole number from ${from} on, or a list of ${lengths.join(" or ")} of them`,
  fits: (value) =>
    isWhole(value, from) ||
    (Array.isArray(value) && lengths.includes(value.length) && value.every((n) => isWhole(n, from))),
});
/** The same for an option that may not be left out. */
export const needed = (rule: OptionRule): OptionRule => ({ ...rule, isNeeded: true });
/** A list of `length` whole numbers from `from` on. */
export const listOf = (length: number, from: number): OptionRule => ({
  takes: `a list of ${length} whole numbers from ${from} on`,
  fits: (value) => Array.isArray(value) && value.length === length && value.every((n) => isWhole(n, from)),
});
/** One of the texts. */
export const oneOf = (texts: readonly string[]): OptionRule => ({
  takes: `one of ${texts.join(", ")}`,
  fits: (value) => texts.includes(value as string),
});
/** A number that is not NaN. */
export const real: OptionRule = {
  takes: "a number",
  fits: (value) => typeof value === "number" && !Number.isNaN(value),
};
/** A number from `low` to `high`, both included. */
export const between = (low: number, high: number): OptionRule => ({
  takes: `a number from ${low} to ${high}`,
  fits: (value) => typeof value === "number" && value >= low && value <= high,
});
/** true or false. */
export const flag: OptionRule = { takes: "true or false", fits: (value) => typeof value === "boolean" };
/** A text. */
export const text: OptionRule = { takes: "a text", fits: (value) => typeof value === "string" };
/** A function. */
export const callable: OptionRule = { takes: "a function", fits: (value) => typeof value === "function" };
/** An object or a function. What it must hold is checked by who uses it. */
export const thing: OptionRule = {
  takes: "an object",
  fits: (value) => (typeof value === "object" && value !== null) || typeof value === "function",
};
/** An object, a function or a number: what initialises a parameter. */
export const numberOrThing: OptionRule = {
  takes: "a number or a function",
  fits: (value) => real.fits(value) || thing.fits(value),
};
/** The name of an activation. */
export const activationOption = oneOf(Object.keys(scalar));
const DTYPES = { f32: true, i32: true, bool: true } satisfies Record<Dtype, true>;
/** An element type. */
export const dtypeOption = oneOf(Object.keys(DTYPES));

/** A value in a message: what kind of thing it is. */
export function whatIs(value: unknown): string {
  if (value instanceof Tensor) return `a tensor of ${value.dtype} [${value.shape.join(", ")}]`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return `an object (${value.constructor?.name ?? "without class"})`;
  if (typeof value === "string") return JSON.stringify(value);
  return typeof value === "function" ? "a function" : String(value);
}

/** @throws ArgumentError for a key without a rule, a value that its rule does not take, or one that is needed and lacks */
export function checkOptions<Options extends object>(op: string, options: Options, rules: OptionRules<Options>): void {
  if (typeof options !== "object" || options === null || Array.isArray(options) || options instanceof Tensor)
    throw new ArgumentError(
      `${op}: got ${whatIs(options)} where an object of options stands: { ${Object.keys(rules).join(", ")} }`,
    );
  for (const key in options) {
    const value = options[key];
    if (!Object.hasOwn(rules, key)) {
      const names = Object.keys(rules);
      const guess = closest(key, names);
      throw new ArgumentError(
        `${op}: there is no option "${key}"; ${guess ? `did you mean "${guess}"?` : `there are ${names.join(", ")}`}`,
      );
    }
    if (value !== undefined) checkValue(op, key, value, rules[key]);
  }
  for (const key in rules)
    if (rules[key].isNeeded && options[key] === undefined) checkValue(op, key, undefined, rules[key]);
}

/** @throws ArgumentError when a value is not what its rule takes */
export function checkValue(op: string, name: string, value: unknown, { fits, takes }: OptionRule): void {
  if (!fits(value)) throw new ArgumentError(`${op}: ${name} is ${whatIs(value)}; it takes ${takes}`);
}
