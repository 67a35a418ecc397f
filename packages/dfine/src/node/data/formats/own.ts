import { dirname, resolve } from "node:path";
import { checkCategoryNames } from "../../../data/categories.ts";
import type { DataYaml } from "../../../data/dataYaml.ts";
import { SPLITS, type SplitName } from "../../../data/splits.ts";
import { type DatasetFiles, readSplits } from "../datasetParts.ts";
import { withSeparators } from "../onDisk.ts";
import type { Recognised } from "./format.ts";
import { openDataYaml } from "./yamlFile.ts";

/** Reads a data set whose data.yaml names folders of images and COCO annotations. @throws DatasetError */
export async function readOwn(place: string, wants: (name: SplitName) => boolean): Promise<Recognised | undefined> {
  const found = await findOwn(place, wants);
  if (!found) return undefined;
  const { file, names, listed, splits } = found;
  const parts = await readSplits(splits);
  if (names) for (const { dataset } of Object.values(parts)) checkCategoryNames(dataset, names, file);
  return { how: "data.yaml that names COCO annotations", parts, listed, notes: [] };
}

/** Where the parts lie that are wanted, before any of them is read; undefined where no data.yaml of this form is there. @throws DatasetError */
export async function findOwn(
  place: string,
  wants: (name: SplitName) => boolean,
): Promise<{ file: string; names: DataYaml["names"]; listed: SplitName[]; splits: DatasetFiles } | undefined> {
  const yaml = await openDataYaml(place);
  if (!yaml || yaml.yolo) return undefined;
  const { file, path, names } = yaml;
  const base = await withSeparators(resolve(dirname(file), path));
  const at = (part: string) => withSeparators(resolve(base, part));
  const splits: DatasetFiles = {};
  const listed = SPLITS.filter((name) => yaml[name]);
  for (const name of listed) {
    const { images, annotations } = yaml[name]!;
    if (wants(name)) splits[name] = { images: await at(images), annotations: await at(annotations) };
  }
  return { file, names, listed, splits };
}
