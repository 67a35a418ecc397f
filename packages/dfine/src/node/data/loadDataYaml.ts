import { dirname, resolve } from "node:path";
import { checkCategoryNames, checkSameCategories } from "../../data/categories.ts";
import type { CocoDataset } from "../../data/dataset.ts";
import { parseDataYaml, SPLITS, type SplitName, type SplitPaths } from "../../data/dataYaml.ts";
import { DatasetError } from "../../data/errors.ts";
import { withSeparators } from "./onDisk.ts";
import { readCoco, readText } from "./readCoco.ts";

/** A part of a data set, ready for a loader. */
export interface DatasetSplit {
  readonly dataset: CocoDataset;
  /** Folder that the images' file names start from. */
  readonly imageRoot: string;
}

/** Parts of a data set, ready for loaders. */
export type Datasets = { readonly [name in SplitName]?: DatasetSplit };
export type DatasetFiles = { [name in SplitName]?: SplitPaths | undefined };

/**
 * Reads the named parts of a data set from its data.yaml, and makes sure that they agree about the classes. Of the parts
 * that are `wanted` those that are not `needed` may be missing; by default all are needed.
 * @throws DatasetError when a part is not listed, or a file is missing or wrong
 */
export async function loadDataYaml<Wanted extends SplitName, Needed extends Wanted = Wanted>(
  file: string,
  wanted: readonly Wanted[],
  needed: readonly Needed[] = wanted as readonly SplitName[] as readonly Needed[],
): Promise<Pick<Datasets, Wanted> & Record<Needed, DatasetSplit>> {
  const { splits, names } = await dataYamlFiles(file, wanted);
  for (const name of needed)
    if (!splits[name])
      throw new DatasetError(file, `has no ${name}`, `Add ${name}: { images: FOLDER, annotations: FILE.json }.`);
  const loaded = await readSplits(splits);
  if (names) for (const { dataset } of Object.values(loaded)) checkCategoryNames(dataset, names, file);
  return loaded as Datasets & Record<Needed, DatasetSplit>;
}

/** Where the parts that a data.yaml names lie, and its names of classes. @throws DatasetError */
export async function dataYamlFiles(
  file: string,
  wanted: readonly SplitName[] = SPLITS,
): Promise<{ splits: DatasetFiles; names: readonly string[] | undefined }> {
  const { path, names, ...listed } = parseDataYaml(await readText(file), file);
  const base = await withSeparators(resolve(dirname(file), path));
  const at = (part: string) => withSeparators(resolve(base, part));
  const splits: DatasetFiles = {};
  for (const name of wanted) {
    const paths = listed[name];
    if (paths) splits[name] = { images: await at(paths.images), annotations: await at(paths.annotations) };
  }
  return { splits, names };
}

/** Reads parts of a data set, and makes sure that they agree about the classes. @throws DatasetError */
export async function readSplits(splits: Readonly<DatasetFiles>): Promise<Datasets> {
  const loaded: [string, DatasetSplit][] = [];
  for (const [name, paths] of Object.entries(splits)) {
    if (!paths) continue;
    const dataset = await readCoco(paths.annotations);
    if (loaded[0]) checkSameCategories(loaded[0][1].dataset, dataset);
    loaded.push([name, { dataset, imageRoot: paths.images }]);
  }
  return Object.fromEntries(loaded);
}
