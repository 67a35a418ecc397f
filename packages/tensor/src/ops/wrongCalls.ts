import { ArgumentError, BackendError, DtypeError, OwnershipError, ShapeError } from "../errors.ts";
import { metaBackend } from "../metaBackend.ts";
import { refusalOf } from "../options.ts";
import type { Tensor } from "../tensor.ts";
import type { CaseInput, Refusal } from "./cases.ts";
import { ANY, type InputRule } from "./inputs.ts";
import { empty } from "./result.ts";

const stranger = metaBackend();

/** The shape of a tensor with `axes`, each of size 2, or `other` where its name is that. */
const shapeOf = (axes: readonly string[] = ["n"], other?: string): number[] =>
  axes.filter((axis) => axis !== "...").map((axis) => (Number.isNaN(+axis) ? (axis === other ? 3 : 2) : +axis));

/** Calls that are right but for one argument, for all that the rules of the arguments tell. */
export function wrongCalls(rules: readonly InputRule[], call: (...args: never[]) => unknown): Refusal[] {
  const inputs = rules.map(({ dtypes, axes }): CaseInput => ({ shape: shapeOf(axes), dtype: dtypes[0] ?? "f32" }));
  const wrong = (name: string, spoil: (args: unknown[]) => void, error: Refusal["error"] = ArgumentError): Refusal => ({
    name,
    inputs,
    run: (...tensors) => {
      const args = tensors.map((tensor, i) => rules[i]!.value?.examples?.[0] ?? tensor);
      spoil(args);
      return call(...(args as never[]));
    },
    error,
  });
  const wrongAt = ({ name, dtypes, axes, value, optional, numbers }: InputRule, i: number): Refusal[] => {
    const given = (what: string, to: unknown, error?: Refusal["error"]): Refusal =>
      wrong(`${name} ${what}`, (args) => args.splice(i, 1, to), error);
    const missing = optional ? [] : [given("missing", undefined)];
    if (value) {
      const misfits = [null, ...(value.examples?.slice(1) ?? [])];
      return [...missing, ...misfits.map((to) => given(`= ${JSON.stringify(to)}`, to, refusalOf(value, to)))];
    }
    const before = rules.slice(0, i).filter((rule) => !rule.value);
    /** Another tensor in its place, where `applies`. */
    const other = (applies: unknown, change: Partial<CaseInput & Pick<Tensor, "backend">>, error: Refusal["error"]) => {
      const spoil = (args: unknown[]): void => {
        const { backend, shape, dtype } = { ...inputs[i]!, backend: (args[i] as Tensor).backend, ...change };
        args[i] = empty(backend, shape, dtype!);
      };
      return applies
        ? [wrong(`${name} of other ${Object.keys(change)} ${change.dtype ?? change.shape ?? ""}`, spoil, error)]
        : [];
    };
    const known = axes?.find((axis) => axis !== "..." && before.some((rule) => rule.axes?.includes(axis)));
    const shared = dtypes.length > 1 && before.some((rule) => rule.dtypes.length > 1);
    const fraction = (args: unknown[]): void => {
      for (const [k, rule] of rules.entries())
        if (rule.dtypes.length > 1) args[k] = k === i ? 0.5 : empty((args[k] as Tensor).backend, [2], "i32");
    };
    const strange = ANY.find((dtype) => !dtypes.includes(dtype));
    return [
      ...missing,
      given("a list", [1, 2]),
      wrong(`${name} freed`, (args) => (args[i] as Tensor).dispose(), OwnershipError),
      ...other(strange, { dtype: strange! }, DtypeError),
      ...other(shared, { dtype: dtypes[1]! }, DtypeError),
      ...(shared && numbers ? [wrong(`${name} ½ beside i32`, fraction, DtypeError)] : []),
      ...other(before.length > 0, { backend: stranger }, BackendError),
      ...other(axes, { shape: axes?.[0] === "..." ? [] : [...inputs[i]!.shape, 1] }, ShapeError),
      ...other(known, { shape: shapeOf(axes, known) }, ShapeError),
      ...other(numbers && before.length > 0, { shape: [3] }, ShapeError),
    ];
  };
  return [
    ...rules.flatMap(wrongAt),
    ...(rules[0]?.numbers ? [wrong("numbers alone", (args) => args.fill(1))] : []),
    wrong("an argument too many", (args) => args.push(1)),
  ];
}
