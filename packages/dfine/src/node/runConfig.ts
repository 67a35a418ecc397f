import { type Config, ConfigError } from "../config/config.ts";
import { type ConfigOptions, isTree, keyPaths, resolveConfig, valueAt } from "../config/resolve.ts";
import { readYaml, YamlError } from "../config/yaml.ts";
import { describe } from "../describe.ts";
import { RunFolderError } from "./runFolder.ts";

/** Reads the configuration that a run folder keeps. `path` names it in messages. @throws RunFolderError */
export function parseRunConfig(text: string, path: string): Config {
  try {
    const { value } = readYaml(text);
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new ConfigError(`it holds ${describe(value)} in place of a configuration`);
    return resolveConfig(value as ConfigOptions);
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof YamlError)) throw error;
    throw new RunFolderError(`${path}: ${error.message}; mend this file, or start a new run`);
  }
}

/** What may change while a run is stopped: none of it changes the weights, but for where the run ends. */
const FREE: readonly string[] = [
  ...[
    "epochs",
    "valBatch",
    "checkpointEvery",
    "saveEvery",
    "snapshotEvery",
    "earlyStop.patience",
    "limits.nonFiniteSteps",
  ],
].map((key) => `train.${key}`);

/** In which key, that changes the weights, configurations differ, and both values as texts; undefined where in none. */
export function firstDifference(now: Config, before: Config): { key: string; now: string; before: string } | undefined {
  const both = (key: string) => [now, before].map((config) => valueAt(config, key.split(".")));
  const key = [...new Set([...keyPaths(now), ...keyPaths(before)])].find(
    (path) =>
      !FREE.includes(path) &&
      !both(path).some(isTree) &&
      new Set(both(path).map((one) => JSON.stringify(one))).size > 1,
  );
  return key === undefined ? undefined : { key, now: describe(both(key)[0]), before: describe(both(key)[1]) };
}

/**
 * Makes sure that a run goes on with the configuration that its state was trained with; `then` is that one, undefined in
 * states of versions that did not keep it. @throws RunFolderError naming what differs
 */
export function checkSameConfig(now: Config, then: unknown, path: string): void {
  const found = then === undefined ? undefined : firstDifference(now, resolveConfig(then as ConfigOptions));
  if (!found) return;
  throw new RunFolderError(
    `${path}: ${found.key} is ${found.now}, but the run was trained with ${found.before}; put that back, or start a new run from this one's weights: dfine train --weights, with the run's folder`,
  );
}
