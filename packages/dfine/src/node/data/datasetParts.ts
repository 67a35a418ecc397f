import { checkSameCategories } from "../../data/categories.ts";
import type { CocoDataset } from "../../data/dataset.ts";
import type { SplitPaths } from "../../data/dataYaml.ts";
import type { SplitName } from "../../data/splits.ts";
import { readCoco } from "./readCoco.ts";

/** A part of a data set, ready for a loader. */
export interface DatasetSplit {
  readonly dataset: CocoDataset;
  /** Folder that the images' file names start from. */
  readonly imageRoot: string;
}

/** Parts of a data set, ready for loaders. */
export type DatasetParts = { readonly [name in SplitName]?: DatasetSplit };

/** Parts of a data set, and what people should know of how they were read, as sentences. */
export interface Datasets extends DatasetParts {
  readonly notes?: readonly string[];
}

export type DatasetFiles = { [name in SplitName]?: SplitPaths | undefined };

/** Reads parts of a data set, and makes sure that they agree about the classes. @throws DatasetError */
export async function readSplits(splits: Readonly<DatasetFiles>): Promise<DatasetParts> {
  const loaded: [string, DatasetSplit][] = [];
  for (const [name, paths] of Object.entries(splits)) {
    if (!paths) continue;
    const dataset = await readCoco(paths.annotations);
    if (loaded[0]) checkSameCategories(loaded[0][1].dataset, dataset);
    loaded.push([name, { dataset, imageRoot: paths.images }]);
  }
  return Object.fromEntries(loaded);
}
