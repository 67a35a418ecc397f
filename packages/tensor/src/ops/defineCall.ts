import { checkInputs, inputRules, type Takes } from "./inputs.ts";
import { register } from "./registry.ts";

/** Defines a function whose arguments are checked as `takes` declares them: their kinds, and that there is none too many. */
export function defineCall<Args extends readonly unknown[], Result>(
  name: string,
  takes: Takes,
  run: (...args: Args) => Result,
): (...args: Args) => Result {
  const rules = inputRules(takes);
  const call = (...args: Args): Result => {
    checkInputs(name, args, rules);
    return run(...args);
  };
  register({ name, kind: "op", op: call, rules, call: call as (...args: never[]) => unknown });
  return call;
}
