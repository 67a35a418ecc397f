import { basename, dirname, relative, sep } from "node:path";
import type { CocoDataset } from "../../data/dataset.ts";
import { DatasetError } from "../../data/errors.ts";
import { SPLITS, type SplitName } from "../../data/splits.ts";
import type { ImageRow, PartSource, Row } from "../../doctor/survey.ts";
import { inOrder } from "../../doctor/unifyCategories.ts";
import { yoloRows } from "../../doctor/yoloRows.ts";
import type { DatasetFiles, DatasetSplit } from "../data/datasetParts.ts";
import { findCoco, folderWith, plainName, probesOf, SeveralFilesError } from "../data/formats/coco.ts";
import type { DataFormat, PartName } from "../data/formats/format.ts";
import { findOwn } from "../data/formats/own.ts";
import { yoloFiles } from "../data/formats/yolo.ts";
import { findYolo, type YoloFolder } from "../data/formats/yoloFolder.ts";
import { recognise } from "../data/loadData.ts";
import type { DataFiles } from "../datasets.ts";
import { readCocoPart, unreadablePart } from "./readCocoPart.ts";

/**
 * The parts of a data set as they stand in its files, whatever is wrong with them. What cannot be read at all is a part with a
 * fault. @throws SeveralFilesError where someone has to choose which data is meant
 */
export async function readParts(files: DataFiles): Promise<PartSource[]> {
  if (!("data" in files)) return await readPairs(files);
  try {
    return await recognise(files.data, asItStands);
  } catch (error) {
    if (!(error instanceof DatasetError) || error instanceof SeveralFilesError) throw error;
    return [unreadablePart("train", error.file, "", error.message.replace(`${error.file}: `, ""))];
  }
}

/** Readers that go on where those of `DATA_FORMATS` refuse, by their names. Other forms are read as for training. */
const LENIENT: Readonly<Record<string, (place: string) => Promise<PartSource[] | undefined>>> = {
  dfine: readOwnParts,
  coco: readCocoParts,
  yolo: readYoloParts,
};

async function asItStands({ name, read }: DataFormat, place: string): Promise<PartSource[] | undefined> {
  const lenient = LENIENT[name];
  if (lenient) return await lenient(place);
  const found = await read(place, () => true);
  return found && partEntries(found.parts).map(([part, split]) => ofDataset(part, split));
}

/** Parts by name; the only one is for training. */
const partEntries = <T>(parts: { readonly [name in PartName]?: T }): [SplitName, T][] =>
  (["only", ...SPLITS] as const).flatMap((name): [SplitName, T][] => {
    const part = parts[name];
    return part === undefined ? [] : [[name === "only" ? "train" : name, part]];
  });

const readPairs = (splits: DatasetFiles): Promise<PartSource[]> =>
  Promise.all(partEntries(splits).map(([name, paths]) => readCocoPart(name, paths!)));

async function readOwnParts(place: string): Promise<PartSource[] | undefined> {
  const found = await findOwn(place, () => true);
  if (!found) return undefined;
  const parts = await readPairs(found.splits);
  if (parts.length === 0) throw new DatasetError(found.file, "names no part", "Name train and val.");
  for (const part of parts) if (found.names) checkNames(part, found.names, found.file);
  return parts;
}

function checkNames({ categories, problems }: PartSource, names: readonly string[], file: string): void {
  const own = inOrder(categories).map(({ values }) => values.name);
  if (own.length === 0 || (own.length === names.length && own.every((name, i) => name === names[i]))) return;
  problems.push(["names-differ", `has the categories ${own.join(", ")}; ${basename(file)} names ${names.join(", ")}`]);
}

async function readCocoParts(place: string): Promise<PartSource[] | undefined> {
  const { found } = await findCoco(place);
  if (found.size === 0) return undefined;
  const parts = partEntries<{ file: string; roots: readonly string[] }>(Object.fromEntries(found));
  return await Promise.all(
    parts.map(async ([name, { file, roots }]) => {
      const part = await readCocoPart(name, { images: dirname(file), annotations: file });
      const names = part.images.map(({ values }) => values.file_name).filter((one) => typeof one === "string");
      const probes = probesOf(names);
      const folders = [...new Set(roots)];
      const at = probes.length === 0 ? undefined : await folderWith(probes, folders);
      const imageRoot = at ?? (await folderWith(probes.map(plainName), folders)) ?? part.imageRoot;
      return { ...part, imageRoot };
    }),
  );
}

async function readYoloParts(place: string): Promise<PartSource[] | undefined> {
  const found = await findYolo(place);
  return (
    found && (await Promise.all(partEntries(found.parts).map(([name, sources]) => yoloPart(name, sources, found))))
  );
}

async function yoloPart(name: SplitName, sources: readonly string[], folder: YoloFolder): Promise<PartSource> {
  const { names, keypoints } = folder;
  const { imageRoot, images } = await yoloFiles(sources, folder);
  const annotations: Row[] = [];
  for (const [i, { labels, size }] of images.entries())
    for (const row of labels ? yoloRows(labels.text, { file: labels.file, keypoints, size }) : []) {
      const index = annotations.length;
      annotations.push({
        ...row,
        list: "annotations",
        index,
        dropped: false,
        values: { id: index + 1, image_id: i + 1, ...row.values },
      });
    }
  return {
    ...{ name, file: folder.file, imageRoot, problems: [], annotations },
    images: images.map(({ path, size }, index) =>
      imageRow(index, { id: index + 1, file_name: relative(imageRoot, path).replaceAll(sep, "/"), ...size }),
    ),
    categories: names.map((label, id) => categoryRow(id, { id, name: label })),
  };
}

const imageRow = (index: number, values: Row["values"]): ImageRow => ({
  ...{ list: "images", index, values, dropped: false, facts: {} },
});
const categoryRow = (index: number, values: Row["values"]): Row => ({
  list: "categories",
  index,
  values,
  dropped: false,
});

/** What a reader for training has read, with labels for category ids: ids of its own making are no faults. */
function ofDataset(name: SplitName, { dataset, imageRoot }: DatasetSplit): PartSource {
  const { file, images, categories } = dataset;
  return {
    ...{ name, file, imageRoot, problems: [] },
    images: images.map(({ id, fileName, width, height }, i) => imageRow(i, { id, file_name: fileName, width, height })),
    categories: categories.map(({ name: label }, id) => categoryRow(id, { id, name: label })),
    annotations: objectsOf(dataset),
  };
}

function objectsOf({ images, labels, annotationsByImage }: CocoDataset): Row[] {
  const objects = images.flatMap(({ id: image_id }) =>
    annotationsByImage.get(image_id)!.map(({ id, categoryId, bbox, area, iscrowd }) => {
      return { id, image_id, category_id: labels.get(categoryId), bbox, area, iscrowd: iscrowd ? 1 : 0 };
    }),
  );
  return objects.map((values, index) => ({ list: "annotations", index, values, dropped: false }));
}
