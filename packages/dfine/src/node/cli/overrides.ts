import { type Config, ConfigError } from "../../config/config.ts";
import { type ConfigOptions, knownKeys } from "../../config/resolve.ts";

/** The sections that a key may leave out. */
const SECTIONS: readonly (keyof Config)[] = ["train", "model", "criterion"];

/** Overrides that other keys depend on: what all is laid over, and kinds of parts. */
const CHOICE = /^\s*(?:preset|task|recipe|fdr|goLsd)\s*=/;
const TYPE = /\.type\s*=/;

/**
 * Completes short keys of `key=value`: `ema.decay=0.998` means `train.ema.decay=0.998`. The end of a key is enough when
 * only one key ends so, of those of the detector that `options` and the overrides choose. Unknown keys stay as they are, for
 * the configuration to refuse with its advice.
 * @throws ConfigError where several keys end alike
 */
export function completeOverrides(
  overrides: readonly string[],
  options: ConfigOptions | readonly ConfigOptions[] = {},
): string[] {
  const choices = overrides.filter((text) => CHOICE.test(text));
  const types = overrides.filter((text) => TYPE.test(text));
  const keys = knownKeys(options, choices);
  return completeAll(
    overrides,
    types.length === 0 ? keys : knownKeys(options, [...choices, ...completeAll(types, keys)]),
  );
}

const completeAll = (overrides: readonly string[], known: readonly string[]): string[] =>
  overrides.map((text) => {
    const [key = "", ...value] = text.split("=");
    return [complete(key.trim(), known), ...value].join("=");
  });

/** Longer than any key there is. */
const LONGEST_KEY = 200;

function complete(key: string, known: readonly string[]): string {
  if (key.length > LONGEST_KEY) return key;
  const exact = [key, ...SECTIONS.map((section) => `${section}.${key}`)].find((path) => known.includes(path));
  if (exact) return exact;
  const endings = known.filter((path) => path.endsWith(`.${key}`));
  if (endings.length > 1)
    throw new ConfigError(`configuration: ${JSON.stringify(key)} may mean ${endings.join(" or ")}; write it in full`);
  if (endings[0] !== undefined) return endings[0];
  // A wrong last part: the rest still says which key the advice should be about.
  const dot = key.lastIndexOf(".");
  return dot > 0 ? complete(key.slice(0, dot), known) + key.slice(dot) : key;
}
