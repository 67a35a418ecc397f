import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { readYaml, YamlError } from "../../config/yaml.ts";
import { readText } from "../data/readCoco.ts";
import { type Experiment, ExperimentError, parseExperiment } from "./experiment.ts";
import { table2 } from "./tables/table2.ts";
import { table3 } from "./tables/table3.ts";
import { table4 } from "./tables/table4.ts";
import { table5 } from "./tables/table5.ts";
import { trainingLayers } from "./tables/trainingLayers.ts";

/** The experiments that there are, by name. */
export const EXPERIMENTS: Readonly<Record<string, Experiment>> = {
  ...{ table2, table3, table4, table5 },
  "training-layers": trainingLayers,
};

/**
 * An experiment by name, or out of a file: YAML, or a JavaScript or TypeScript module that exports it as `experiment`.
 * @throws ExperimentError for names that there are not and for files that hold none, DatasetError for a file that is missing
 */
export async function openExperiment(place: string): Promise<Experiment> {
  if (Object.hasOwn(EXPERIMENTS, place)) return EXPERIMENTS[place]!;
  if (/\.ya?ml$/.test(place)) return parseExperiment(await yamlOf(place), place);
  if (!/\.[cm]?[jt]s$/.test(place))
    throw new ExperimentError(
      `experiment: there is no ${place}; choose one of ${Object.keys(EXPERIMENTS).join(", ")}, or give a file (.yaml, .mjs, .ts)`,
    );
  await readText(place);
  const { experiment } = (await import(/* webpackIgnore: true */ pathToFileURL(resolve(place)).href)) as {
    experiment?: unknown;
  };
  if (experiment === undefined)
    throw new ExperimentError(
      `${place}: exports no experiment; write export const experiment = { title, source, base, rows }`,
    );
  return parseExperiment(experiment, place);
}

async function yamlOf(place: string): Promise<unknown> {
  try {
    return readYaml(await readText(place)).value;
  } catch (error) {
    throw error instanceof YamlError ? new ExperimentError(`${place}: ${error.message}`) : error;
  }
}
