import { dirname, resolve } from "node:path";
import { ConfigError } from "../../config/config.ts";
import {
  type ConvertedConfig,
  convertOfficial,
  mergeOfficial,
  type OfficialTree,
} from "../../config/officialConfig.ts";
import { readYaml, stringify, YamlError } from "../../config/yaml.ts";
import { readText } from "../data/readCoco.ts";

/** Includes inside includes. */
const DEEPEST = 16;

/**
 * Reads an official configuration with all that it includes, and converts it.
 * @throws ConfigError, DatasetError for files that are missing
 */
export async function readOfficialConfig(path: string): Promise<ConvertedConfig> {
  return convertOfficial(await readTree(path, []));
}

async function readTree(path: string, from: readonly string[]): Promise<OfficialTree> {
  if (from.includes(path) || from.length > DEEPEST)
    throw new ConfigError(`${from.at(-1)}: includes itself, by way of ${path}; take that __include__ out`);
  const own = treeOf(await readText(path), path);
  const includes = own.__include__ ?? [];
  if (!Array.isArray(includes) || !includes.every((one) => typeof one === "string"))
    throw new ConfigError(`${path}: __include__ is not a list of files`);
  let tree: OfficialTree = {};
  for (const include of includes)
    tree = mergeOfficial(tree, await readTree(resolve(dirname(path), include), [...from, path]));
  return mergeOfficial(tree, own);
}

function treeOf(text: string, path: string): OfficialTree {
  try {
    const { value } = readYaml(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as OfficialTree;
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw new ConfigError(`${path}: ${error.message}`);
  }
  throw new ConfigError(`${path}: is not a mapping of keys; give a configuration of the official repository`);
}

/** The configuration as YAML that `dfine train --config` takes: preset, task, and what differs from them. */
export function configText({ preset, task, changes }: ConvertedConfig): string {
  const tree: Record<string, unknown> = { preset, task };
  for (const [path, value] of changes) {
    const keys = path.split(".");
    let at = tree;
    for (const key of keys.slice(0, -1)) {
      at[key] ??= {};
      at = at[key] as Record<string, unknown>;
    }
    at[keys.at(-1)!] = value;
  }
  return stringify(tree);
}
