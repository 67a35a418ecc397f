import * as z from "zod";
import type { Config } from "../../config/config.ts";
import { type ConfigOptions, resolveConfig } from "../../config/resolve.ts";

/** Numbers that a paper gives for a row; a share of 1 for AP, as here, milliseconds and bytes. */
const paperSchema = z.strictObject({
  ap: z.number().optional(),
  parameters: z.number().optional(),
  gflops: z.number().optional(),
  latencyMs: z.number().optional(),
  secondsPerEpoch: z.number().optional(),
  peakBytes: z.number().optional(),
});

const isPatch = (value: unknown): boolean =>
  typeof value === "function" || (typeof value === "object" && value !== null);

const rowSchema = z.strictObject({
  label: z.string().min(1),
  /**
   * In what it differs from the base: keys of a configuration, several such trees (later ones win), or a function that makes
   * them of the base, for what depends on its sizes.
   */
  patch: z.custom<Patch>(isPatch, {
    error: "give keys of a configuration, a list of such trees, or a function of the base",
  }),
  paper: paperSchema.optional(),
  /** What is known of where its own numbers are not the paper's. */
  note: z.string().optional(),
  /** Key of the row that it is compared with; default that of the experiment. */
  against: z.string().optional(),
});

const experimentSchema = z.strictObject({
  title: z.string().min(1),
  /** Where the paper's numbers are from, and how they were measured. */
  source: z.string(),
  /** Under all rows: preset, task, and any other keys. */
  base: z.custom<ConfigOptions>((value) => typeof value === "object" && value !== null && !Array.isArray(value), {
    error: "give keys of a configuration, such as { preset: l }",
  }),
  /** Rows by short names, which also name their folders. */
  rows: z.record(z.string().regex(/^[a-zA-Z0-9_-]+$/, "use letters, digits, - and _"), rowSchema),
  /** With which row others are compared: the one before each, or the one of a name; default the first. */
  against: z.string().optional(),
});

/** Keys of a configuration; of several such trees later ones win. */
export type PatchTrees = ConfigOptions | readonly ConfigOptions[];
/** See `ExperimentRow.patch`. */
export type Patch = PatchTrees | ((base: Config) => PatchTrees);
/** What a paper gives for a row. @interface */
export type PaperNumbers = Readonly<z.infer<typeof paperSchema>>;
/** A row of a table: a configuration as a difference from the base. @interface */
export type ExperimentRow = Readonly<z.infer<typeof rowSchema>>;
/** A table of trainings that differ in what their rows say, beside a paper's numbers. @interface */
export type Experiment = Readonly<z.infer<typeof experimentSchema>>;

/** An experiment that makes no sense. */
export class ExperimentError extends Error {
  override readonly name = "ExperimentError";
}

/** Checks what a file holds. `place` names it in messages. @throws ExperimentError naming the key */
export function parseExperiment(value: unknown, place: string): Experiment {
  const found = experimentSchema.safeParse(value);
  if (!found.success) {
    const [issue] = found.error.issues;
    throw new ExperimentError(`${place}: ${issue!.path.join(".") || "the experiment"}: ${issue!.message}`);
  }
  const { rows, against } = found.data;
  if (Object.keys(rows).length === 0) throw new ExperimentError(`${place}: rows: there are none; give at least one`);
  const references = [...Object.values(rows).map((row) => row.against), against === "previous" ? undefined : against];
  const unknown = references.find((key) => key !== undefined && !Object.hasOwn(rows, key));
  if (unknown !== undefined)
    throw new ExperimentError(
      `${place}: against: there is no row ${unknown}; the rows are ${Object.keys(rows).join(", ")}`,
    );
  return found.data;
}

/** The row with which each is compared; those that nothing comes before have none. */
export function referencesOf({ rows, against }: Experiment): Map<string, string> {
  const keys = Object.keys(rows);
  const usual = (i: number) => (against === "previous" ? keys[i - 1] : (against ?? keys[0]));
  const pairs = keys.map((key, i): [string, string | undefined] => [key, rows[key]!.against ?? usual(i)]);
  return new Map(pairs.filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== pair[0]));
}

/**
 * The configuration of each row: the experiment's base, over it `options` (later ones win), over all the row's own patch.
 * @throws ConfigError for keys or values that there are not, ExperimentError for a preset where rows have their own
 */
export function rowConfigs({ base, rows }: Experiment, options: readonly ConfigOptions[] = []): Map<string, Config> {
  const under = [base, ...options];
  const isGiven = options.some(({ preset }) => preset !== undefined);
  const usual = resolveConfig(under);
  return new Map(
    Object.entries(rows).map(([key, { patch }]) => {
      const trees = [typeof patch === "function" ? patch(structuredClone(usual)) : patch].flat();
      if (isGiven && trees.some(({ preset }) => preset !== undefined))
        throw new ExperimentError(`experiment: row ${key} has a preset of its own; leave out --model`);
      return [key, resolveConfig([...under, ...trees])];
    }),
  );
}
