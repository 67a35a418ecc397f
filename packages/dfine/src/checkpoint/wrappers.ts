import { isHuggingFaceName } from "./huggingFaceNames.ts";

/** What wraps a model puts its name before those of the weights, perhaps one after the other: DDP, torch.compile, Lightning. */
const WRAPPERS = ["module.", "_orig_mod.", "model."];
/** A part of a model in a wrapper of any name. */
const WRAPPED_PART = /^([^.]+\.)(?:.*\.)?(?:backbone|encoder|decoder)\./;
/** torch.compile of a part alone puts its name into the middle. */
const COMPILED_PART = /(?<=\.)_orig_mod\./g;
/** The parts of a model that nothing wraps. */
const PART = /^(backbone|encoder|decoder)\./;

/** Weights under the names that they have in the model alone. What a wrapper holds beside it (losses, metrics) is left out. */
export function unwrapped<T>(entries: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  let named = [...entries].map(([name, entry]): [string, T] => [name.replace(COMPILED_PART, ""), entry]);
  for (;;) {
    const isModel = named.some(([name]) => PART.test(name) || isHuggingFaceName(name));
    const wrapper = isModel
      ? undefined
      : (WRAPPERS.find((prefix) => named.some(([name]) => name.startsWith(prefix))) ?? onlyWrapper(named));
    if (wrapper === undefined) return new Map(named);
    named = named.flatMap(([name, entry]): [string, T][] =>
      name.startsWith(wrapper) ? [[name.slice(wrapper.length), entry]] : [],
    );
  }
}

/** What all parts have before their names; undefined where they differ, so that there are several models. */
function onlyWrapper(named: readonly (readonly [name: string, unknown])[]): string | undefined {
  const wrappers = new Set(named.flatMap(([name]) => WRAPPED_PART.exec(name)?.[1] ?? []));
  return wrappers.size === 1 ? [...wrappers][0] : undefined;
}
