import { dirname, resolve } from "node:path";
import { checkCategoryNames, checkSameCategories } from "../../data/categories.ts";
import type { CocoDataset } from "../../data/dataset.ts";
import { parseDataYaml, type SplitName } from "../../data/dataYaml.ts";
import { DatasetError } from "../../data/errors.ts";
import { withSeparators } from "./onDisk.ts";
import { readCoco, readText } from "./readCoco.ts";

/** A part of a data set, ready for a loader. */
export interface DatasetSplit {
  readonly dataset: CocoDataset;
  /** Folder that the images' file names start from. */
  readonly imageRoot: string;
}

/**
 * Reads the named parts of a data set from its data.yaml, and makes sure that they agree about the classes.
 * @throws DatasetError when a part is not listed, or a file is missing or wrong
 */
export async function loadDataYaml<Name extends SplitName>(
  file: string,
  wanted: readonly Name[],
): Promise<Record<Name, DatasetSplit>> {
  const { path, splits, names } = parseDataYaml(await readText(file), file);
  const base = await withSeparators(resolve(dirname(file), path));
  const at = (part: string) => withSeparators(resolve(base, part));
  const loaded: [Name, DatasetSplit][] = [];
  for (const name of wanted) {
    const paths = splits.get(name);
    if (!paths)
      throw new DatasetError(file, `has no ${name}`, `Add ${name}: { images: FOLDER, annotations: FILE.json }.`);
    const dataset = await readCoco(await at(paths.annotations));
    if (names) checkCategoryNames(dataset, names, file);
    if (loaded[0]) checkSameCategories(loaded[0][1].dataset, dataset);
    loaded.push([name, { dataset, imageRoot: await at(paths.images) }]);
  }
  return Object.fromEntries(loaded) as Record<Name, DatasetSplit>;
}
