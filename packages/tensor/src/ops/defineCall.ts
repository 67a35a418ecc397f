import { checkInputs, inputRules, type Takes } from "./inputs.ts";
import { type RegisteredOp, register, type Trials } from "./registry.ts";

/** What `defineCall` must be told. */
export interface CallOptions<Call> extends Partial<Trials<Call>> {
  /** Names and kinds of the arguments. */
  readonly takes: Takes;
  /** What it is to conformance; default "op". */
  readonly kind?: RegisteredOp["kind"];
}

/** Defines a function whose arguments are checked as `takes` declares them: their kinds, and that there is none too many. */
export function defineCall<Args extends readonly unknown[], Result>(
  name: string,
  run: (...args: Args) => Result,
  { takes, kind = "op", cases, refuses }: CallOptions<(...args: Args) => Result>,
): (...args: Args) => Result {
  const rules = inputRules(takes);
  const call = (...args: Args): Result => {
    checkInputs(name, args, rules);
    return run(...args);
  };
  register({ name, kind, op: call, rules, call: call as (...args: never[]) => unknown, cases, refuses });
  return call;
}
