import type { Config } from "../src/config/config.ts";
import { isTree, keyPaths, valueAt } from "../src/config/resolve.ts";

/** The innermost keys, sorted, that two configurations do not have alike. */
export function differingKeys(one: Config, other: Config): string[] {
  const at = (config: Config, key: string) => valueAt(config, key.split("."));
  return [...new Set([...keyPaths(one), ...keyPaths(other)])]
    .filter(
      (key) =>
        ![one, other].some((config) => isTree(at(config, key))) &&
        JSON.stringify(at(one, key)) !== JSON.stringify(at(other, key)),
    )
    .sort();
}
