import { closest } from "@dfine/tensor";
import type * as z from "zod";
import { describe } from "../describe.ts";
import { ARCHITECTURES, PARTS } from "../model/architectures.ts";
import { type Config, ConfigError, configSchema, PRESET_NAMES, RECIPE_NAMES, TASK_NAMES } from "./config.ts";
import type { Methods } from "./criteria.ts";
import { presetConfig } from "./presets.ts";
import { readYaml } from "./yaml.ts";

type DeepPartial<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { [K in keyof T]?: DeepPartial<T[K]> | undefined }
    : T;

/** Any part of the configuration; `preset`, `task`, `recipe`, `fdr` and `goLsd` choose what the rest is laid over. */
export type ConfigOptions = DeepPartial<Config>;

type Tree = { [key: string]: unknown };

export function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Every key of a tree as a dotted path, inner ones included. */
export function keyPaths(tree: object, prefix = ""): string[] {
  return Object.entries(tree).flatMap(([key, value]) => {
    const path = prefix + key;
    return isTree(value) ? [path, ...keyPaths(value, `${path}.`)] : [path];
  });
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

/** What the writer of an unknown key may have meant, as the end of a message. */
function advice(key: string, prefix: string, known: { siblings: string[]; all: string[] }): string {
  const elsewhere = known.all.filter((path) => lastPart(path).toLowerCase() === key.toLowerCase());
  const sibling = closest(key, known.siblings);
  const similar = closest(key, known.all.map(lastPart));
  const meant =
    elsewhere.length > 0
      ? elsewhere
      : sibling !== undefined
        ? [prefix + sibling]
        : known.all.filter((path) => lastPart(path) === similar);
  if (meant.length > 0) return `did you mean ${meant.map((path) => JSON.stringify(path)).join(" or ")}?`;
  return `known here: ${known.siblings.join(", ")}`;
}

/** Which of the values that there are a wrong one may have meant, as the end of a message. */
function nearest(given: unknown, values: readonly unknown[]): string {
  const texts = values.filter((value) => typeof value === "string");
  const meant = typeof given === "string" ? closest(given, texts) : undefined;
  return meant === undefined ? "" : `; did you mean ${JSON.stringify(meant)}?`;
}

interface Place {
  readonly prefix: string;
  readonly all: string[];
  /** What lies under a path where `patch` is laid, in place of `old`. */
  readonly under: (path: string, old: Tree, patch: Tree) => Tree;
}

/** A part of another type begins with that type's own configuration. @throws ConfigError for types that there are not */
function underOf({ model }: Config): Place["under"] {
  const { levels } = ARCHITECTURES.plan(model).facts();
  const parts = new Map(Object.entries(PARTS[model.architecture]).map(([key, part]) => [`model.${key}`, part]));
  return (path, old, { type }) => {
    const part = parts.get(path);
    if (!part || type === undefined || type === old.type) return old;
    const found = typeof type === "string" ? part.defaults(type, levels) : undefined;
    if (found) return { ...found };
    throw new ConfigError(
      `configuration: ${path}.type = ${describe(type)}; choose one of ${part.names.join(", ")}${nearest(type, part.names)}`,
    );
  };
}

/** Lays `patch` over `base`: trees merge key by key, lists and single values are replaced. */
function merge(base: Tree, patch: Tree, place: Place): Tree {
  const out = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    if (!Object.hasOwn(base, key)) {
      const hint = advice(key, place.prefix, { siblings: Object.keys(base), all: place.all });
      throw new ConfigError(`configuration: unknown key ${describe(place.prefix + key)}; ${hint}`);
    }
    const old = base[key];
    if (value === undefined) continue;
    const path = place.prefix + key;
    const isInner = isTree(old) && isTree(value);
    out[key] = isInner ? merge(place.under(path, old, value), value, { ...place, prefix: `${path}.` }) : value;
  }
  return out;
}

/** Turns `a.b.c=value` into a tree; the value is read as YAML (`8`, `1e-4`, `[6, 6]`, `true`, `null`, text). */
export function parseOverride(text: string): ConfigOptions {
  const split = text.indexOf("=");
  if (split < 1) throw new ConfigError(`configuration: ${describe(text)} is not of the form key=value`);
  let value: unknown;
  try {
    value = readYaml(text.slice(split + 1)).value;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new ConfigError(`configuration: the value of ${describe(text)} cannot be read: ${reason}`);
  }
  const keys = text.slice(0, split).trim().split(".");
  return keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as ConfigOptions;
}

function choice<T extends string | boolean>(
  key: string,
  names: readonly T[],
  options: { patches: Tree[]; fallback: T },
): T {
  const given = options.patches
    .map((patch) => (Object.hasOwn(patch, key) ? patch[key] : undefined))
    .reduce((earlier, later) => later ?? earlier);
  if (given === undefined) return options.fallback;
  const found = names.find((name) => name === given);
  if (found === undefined)
    throw new ConfigError(
      `configuration: ${key} = ${describe(given)}; choose one of ${names.join(", ")}${nearest(given, names)}`,
    );
  return found;
}

/** Stored configurations of versions that only mirrored images, as they are written now. */
function modernised(options: ConfigOptions): Tree {
  const augmentation = options.train?.augmentation as Tree | undefined;
  if (augmentation?.flip === undefined) return options as Tree;
  const { flip, ...rest } = augmentation;
  const transforms = [{ name: "flip", probability: flip }];
  return { ...options, train: { ...options.train, augmentation: { ...rest, transforms, baseSizeRepeat: null } } };
}

export function valueAt(tree: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], tree);
}

/** What zod says is wrong; of a union, what each of its members says. */
const problemOf = (issue: z.core.$ZodIssue): string =>
  issue.code === "invalid_union" && issue.errors.length > 0
    ? issue.errors.map(([first]) => (first ? problemOf(first) : issue.message)).join(", or ")
    : issue.message.replace(/^Invalid \w+: /, "");

/** What the writer of a wrong value or key may have meant: one of the words that the message expects, or a key of its like. */
function meantBy(issue: z.core.$ZodIssue, found: unknown, base: Tree): string {
  if (issue.code !== "unrecognized_keys")
    return nearest(
      found,
      [...problemOf(issue).matchAll(/["']([^"']+)["']/g)].map(([, word]) => word),
    );
  const alike = [valueAt(base, issue.path.slice(0, -1))].flat().filter(isTree);
  return nearest(issue.keys[0], alike.flatMap(Object.keys));
}

function describeIssue(issue: z.core.$ZodIssue, given: Tree, base: Tree): string {
  const key = issue.path.join(".");
  const usual = valueAt(base, issue.path);
  const example = usual === undefined ? "" : `, for example ${describe(usual)}`;
  // What may be said by a name alone is said there.
  const name = valueAt(given, issue.path.slice(0, -1));
  const found = typeof name === "string" ? name : valueAt(given, issue.path);
  return `${key} = ${describe(found)}: ${problemOf(issue)}${meantBy(issue, found, base) || example}`;
}

/** @throws ConfigError where a model is to be of another architecture than its preset, whose parts are others */
function checkArchitecture(merged: Tree, { preset, model }: Config): void {
  const given = valueAt(merged, ["model", "architecture"]);
  if (given === model.architecture || !ARCHITECTURES.names.includes(given as string)) return;
  const others = PRESET_NAMES.filter((name) => presetConfig(name).model.architecture === given);
  throw new ConfigError(
    `configuration: model.architecture = ${describe(given)}, but that of preset ${preset} is ${model.architecture}; choose a preset of the other: ${others.join(", ")}`,
  );
}

/** @throws ConfigError for values that do not go together */
function checkTogether({ model, train }: Config): void {
  const { milestones } = train.schedule;
  const ascend = milestones.every((epoch, i) => i === 0 || epoch > milestones[i - 1]!);
  const broken = [
    ...ARCHITECTURES.plan(model).problems(),
    ...(train.batch % train.accumulate === 0
      ? []
      : [`train.accumulate ${train.accumulate} does not divide train.batch ${train.batch}; parts are of one size`]),
    ...(model.resize === "shortestEdge" && train.augmentation.baseSizeRepeat !== null
      ? [
          "train.augmentation.baseSizeRepeat must be null with model.resize=shortestEdge, whose images have sizes of their own",
        ]
      : []),
    ...(ascend ? [] : [`train.schedule.milestones [${milestones}] must ascend`]),
  ];
  if (broken.length > 0) throw new ConfigError(`configuration: ${broken.join("; ")}`);
}

/** The methods that patches ask for; of a DETR boxes as distributions are asked for by its box head too. */
function methodsOf({ model, fdr, goLsd }: Config, patches: Tree[]): Methods {
  const heads = patches
    .map((patch) => valueAt(patch, ["model", "decoder", "boxHead"]))
    .filter((one) => one !== undefined);
  const isGiven = model.architecture === "detr" && heads.length > 0;
  const both = [true, false] as const;
  return {
    fdr: choice("fdr", both, { patches, fallback: isGiven ? heads.at(-1) === "distribution" : fdr }),
    goLsd: choice("goLsd", both, { patches, fallback: goLsd }),
  };
}

interface Laid {
  readonly usual: Config;
  /** What the patches make of it, not checked yet. */
  readonly merged: Tree;
}

/** Options, under overrides, over the configuration of the preset that they choose. @throws ConfigError for unknown keys */
function layOver(options: ConfigOptions | readonly ConfigOptions[], overrides: readonly string[]): Laid {
  const patches: Tree[] = [...[options].flat().map(modernised), ...(overrides.map(parseOverride) as Tree[])];
  const preset = choice("preset", PRESET_NAMES, { patches, fallback: "n" });
  const task = choice("task", TASK_NAMES, { patches, fallback: "custom" });
  const recipe = choice("recipe", RECIPE_NAMES, { patches, fallback: "official" });
  const usual = presetConfig(preset, task, recipe, methodsOf(presetConfig(preset, task, recipe), patches));
  const place = { prefix: "", all: keyPaths(usual), under: underOf(usual) };
  return { usual, merged: patches.reduce((tree, patch) => merge(tree, patch, place), usual as Tree) };
}

/** Every key of the configuration that such options and overrides choose. @throws ConfigError for keys that there are not */
export const knownKeys = (options: ConfigOptions | readonly ConfigOptions[], overrides: readonly string[]): string[] =>
  keyPaths(layOver(options, overrides).merged);

/**
 * Complete configuration: the preset's (default n, task custom), under `options` (several: the later over the earlier), under
 * `overrides` of the form `train.batch=8`.
 * @throws ConfigError naming the key for unknown keys, wrong types and values that do not go together
 */
export function resolveConfig(
  options: ConfigOptions | readonly ConfigOptions[] = {},
  overrides: readonly string[] = [],
): Config {
  const { usual, merged } = layOver(options, overrides);
  checkArchitecture(merged, usual);
  const result = configSchema.safeParse(merged);
  if (!result.success) {
    const issues = result.error.issues.map((issue) => describeIssue(issue, merged, usual));
    throw new ConfigError(`configuration: ${issues.join("; ")}`);
  }
  checkTogether(result.data);
  return result.data;
}
