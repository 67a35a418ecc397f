import type { Assembler, Local } from "../wasm/assembler.ts";

/** Locals holding a launch's words, one per name in order. */
export function namedArgs<Name extends string>(f: Assembler, names: readonly Name[]): Record<Name, Local> {
  return Object.fromEntries(names.map((name, i) => [name, f.argLocal(i)])) as Record<Name, Local>;
}

/** The words of a launch whose kernel reads them with `namedArgs(names)`. */
export function argWords<Name extends string>(names: readonly Name[], values: Record<Name, number>): number[] {
  return names.map((name) => values[name]);
}

/** `quotient = dividend / divisor` and `remainder`, all non-negative. */
export function divide(
  f: Assembler,
  [dividend, divisor]: readonly [Local, Local],
  { quotient, remainder }: { quotient: Local; remainder: Local },
): void {
  f.get(dividend, divisor).op("i32.div_u").set(quotient);
  f.get(dividend, quotient, divisor).op("i32.mul", "i32.sub").set(remainder);
}

/** Pushes the smaller of two non-negative locals. */
export const smaller = (f: Assembler, a: Local, b: Local): Assembler => f.get(a, b, a, b).op("i32.lt_s").select();
