import { dirname, resolve } from "node:path";
import * as z from "zod";
import { checkSameCategories } from "../data/categories.ts";
import { parseDataYaml } from "../data/dataYaml.ts";
import { DatasetError } from "../data/errors.ts";
import { parseJson } from "../parseJson.ts";
import { type DatasetSplit, loadDataYaml } from "./data/loadDataYaml.ts";
import { readCoco, readText } from "./data/readCoco.ts";

const splitFiles = z.strictObject({ images: z.string(), annotations: z.string() });
const dataFiles = z.union([
  z.strictObject({ data: z.string() }),
  z.strictObject({ train: splitFiles.optional(), val: splitFiles.optional() }),
]);

/** Where one part of a data set lies. */
type SplitFiles = z.infer<typeof splitFiles>;
/** Where a run's data lies: a data.yaml, or pairs of folder and annotation file. */
export type DataFiles = z.infer<typeof dataFiles>;

/** Parts of a data set, ready for loaders. */
export interface Datasets {
  readonly train?: DatasetSplit;
  readonly val?: DatasetSplit;
}

/** The same with paths that do not depend on the working directory. */
export function absoluteDataFiles(files: DataFiles): DataFiles {
  if ("data" in files) return { data: resolve(files.data) };
  const split = (pair: SplitFiles | undefined) =>
    pair && { images: resolve(pair.images), annotations: resolve(pair.annotations) };
  return { train: split(files.train), val: split(files.val) };
}

/**
 * Reads the parts that there are (those that `wanted` names must be there), and makes sure that they agree about the classes.
 * @throws DatasetError
 */
export async function loadDatasets(files: DataFiles, wanted: readonly ("train" | "val")[]): Promise<Datasets> {
  if ("data" in files) {
    const { splits } = parseDataYaml(await readText(files.data), files.data);
    const present = (["train", "val"] as const).filter((name) => splits.has(name) || wanted.includes(name));
    return await loadDataYaml(files.data, present);
  }
  const read = async (pair: SplitFiles): Promise<DatasetSplit> => ({
    dataset: await readCoco(pair.annotations),
    imageRoot: pair.images,
  });
  const train = files.train && (await read(files.train));
  const val = files.val && (await read(files.val));
  if (train && val) checkSameCategories(train.dataset, val.dataset);
  return { ...(train ? { train } : {}), ...(val ? { val } : {}) };
}

/** The files that a run folder recorded. `text` is the record, `path` names it in messages. @throws DatasetError */
export function parseDataFiles(text: string, path: string): DataFiles {
  const found = dataFiles.safeParse(parseJson(text));
  if (found.success) return found.data;
  throw new DatasetError(
    path,
    "does not say which data the run used",
    `Write { "data": "…/data.yaml" } into it, or start a new run beside ${dirname(path)}.`,
  );
}

/** The files that a run folder recorded. @throws DatasetError */
export async function readDataFiles(path: string): Promise<DataFiles> {
  return parseDataFiles(await readText(path), path);
}
