import { dirname, resolve } from "node:path";
import * as z from "zod";
import { type SplitPaths, splitSchema } from "../data/dataYaml.ts";
import { DatasetError } from "../data/errors.ts";
import { parseJson } from "../parseJson.ts";
import { type Datasets, readSplits } from "./data/datasetParts.ts";
import { loadData, splitParts } from "./data/loadData.ts";

const valSplit = z.number().gt(0).lt(1).optional();
const dataFiles: z.ZodType<DataFiles> = z.union([
  z.strictObject({ data: z.string(), valSplit }),
  z.strictObject({ train: splitSchema.optional(), val: splitSchema.optional(), valSplit }),
]);

/** Where a run's data lies: a place that `loadData` reads, or pairs of folder and annotation file; and the share set aside for validation. */
export type DataFiles =
  | { readonly data: string; readonly valSplit?: number | undefined }
  | {
      readonly train?: SplitPaths | undefined;
      readonly val?: SplitPaths | undefined;
      readonly valSplit?: number | undefined;
    };

/** The same with paths that do not depend on the working directory. */
export function absoluteDataFiles(files: DataFiles): DataFiles {
  if ("data" in files) return { ...files, data: resolve(files.data) };
  const split = (pair: SplitPaths | undefined) =>
    pair && { images: resolve(pair.images), annotations: resolve(pair.annotations) };
  return { ...files, train: split(files.train), val: split(files.val) };
}

/**
 * Reads the parts that there are (those that `wanted` names must be there), and makes sure that they agree about the classes.
 * @throws DatasetError
 */
export async function loadDatasets(files: DataFiles, wanted: readonly ("train" | "val")[]): Promise<Datasets> {
  if ("data" in files) return await loadData(files.data, ["train", "val"], wanted, files);
  return splitParts(await readSplits({ train: files.train, val: files.val }), files.valSplit);
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
