import { type Config, ConfigError } from "../config/config.ts";
import { type ConfigOptions, resolveConfig } from "../config/resolve.ts";
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
