import { type Config, ConfigError } from "../../config/config.ts";
import { presetConfig } from "../../config/presets.ts";
import { keyPaths } from "../../config/resolve.ts";

/** The sections that a key may leave out. */
const SECTIONS: readonly (keyof Config)[] = ["train", "model", "criterion"];

/**
 * Completes short keys of `key=value`: `ema.decay=0.998` means `train.ema.decay=0.998`. The end of a key is enough when
 * only one key ends so. Unknown keys stay as they are, for the configuration to refuse with its advice.
 * @throws ConfigError where several keys end alike
 */
export function completeOverrides(overrides: readonly string[]): string[] {
  const known = keyPaths(presetConfig("n"));
  return overrides.map((text) => {
    const [key = "", ...value] = text.split("=");
    return [complete(key.trim(), known), ...value].join("=");
  });
}

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
