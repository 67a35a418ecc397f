import { ConfigError } from "../config/config.ts";
import type { ConfigOptions } from "../config/resolve.ts";
import { readYaml, YamlError } from "../config/yaml.ts";
import { readText } from "./data/readCoco.ts";

/**
 * Reads a file with any part of a configuration, as `resolveConfig` takes it, which then says what is wrong inside.
 * @throws ConfigError for what is no mapping of keys, DatasetError where it is missing
 */
export async function readConfigFile(path: string): Promise<ConfigOptions> {
  try {
    const { value } = readYaml(await readText(path));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as ConfigOptions;
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw new ConfigError(`${path}: ${error.message}`);
  }
  throw new ConfigError(`${path}: is not a mapping of keys; write key: value, as config.yaml of a run has them`);
}
