import type { Tensor } from "../tensor.ts";
import type { OpCase, Refusal } from "./cases.ts";
import type { InputRule } from "./inputs.ts";
import { wrongCalls } from "./wrongCalls.ts";

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
  /** What the op must refuse, beside what its declaration tells. */
  readonly refuses?: ((op: Op) => readonly Refusal[]) | undefined;
}

interface Registration<Op> extends Partial<Trials<Op>>, Pick<RegisteredOp, "name" | "kind"> {
  /** What is handed to `cases` and `refuses`. */
  readonly op: Op;
  readonly rules: readonly InputRule[];
  /** Calls it with an argument for each rule. */
  readonly call: (...args: never[]) => unknown;
}

/** What an op with attributes is made of. */
export type Meaning = (inputs: readonly Tensor[], attrs: object) => readonly Tensor[];

const ops = new Map<string, RegisteredOp>();
const meanings = new Map<string, Meaning>();

/** An op's fallback; undefined for those without attributes. */
export const meaningOf = (name: string): Meaning | undefined => meanings.get(name);
/** Makes known what an op is made of. */
export const registerMeaning = (name: string, meaning: Meaning): void => void meanings.set(name, meaning);

/** Every op defined so far, for conformance and the support table. */
export const registeredOps = (): readonly RegisteredOp[] => [...ops.values()];

/** Makes an op known to conformance. Without cases it is what the op of its name is called by. */
export function register<Op>({ name, kind, op, rules, call, cases, refuses }: Registration<Op>): void {
  const known = ops.get(name);
  if (known && cases) throw new Error(`op "${name}" is defined twice`);
  const refusals = () => [...wrongCalls(rules, call), ...(refuses?.(op) ?? [])];
  ops.set(name, { name, kind, cases: () => cases?.(op) ?? [], ...known, refusals });
}

/** More trials of an op that is known. */
export function tryAlso(name: string, { cases = [], refusals = [] }: { cases?: OpCase[]; refusals?: Refusal[] }): void {
  const known = ops.get(name)!;
  const all = { cases: () => [...known.cases(), ...cases], refusals: () => [...known.refusals(), ...refusals] };
  ops.set(name, { ...known, ...all });
}
