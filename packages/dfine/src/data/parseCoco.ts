import { describe, firstOf } from "../describe.ts";
import {
  area,
  box,
  type CocoRow,
  categoryName,
  cocoRows,
  fileName,
  flag,
  NO_ID,
  ownId,
  pixels,
  refuse,
} from "./cocoRows.ts";
import { checkBoxUnits } from "./cocoUnits.ts";
import type { CocoAnnotation, CocoCategory, CocoDataset, CocoImage } from "./dataset.ts";
import { DatasetError } from "./errors.ts";
import { exactIds, hasLargeIds } from "./exactIds.ts";
import { readJson } from "./readJson.ts";

/**
 * Reads the text of a COCO instances file. `file` names it in messages.
 * @throws DatasetError naming the place, what stands there and the remedy
 */
export function parseCoco(text: string, file: string): CocoDataset {
  const json = readJson(text, file);
  try {
    return cocoDataset(json, file);
  } catch (error) {
    // Numbers beyond 2^53 were rounded: read exactly, they stand in the message as they stand in the file.
    if (error instanceof DatasetError && hasLargeIds(text)) cocoDataset(readJson(text, file, exactIds), file);
    throw error;
  }
}

/**
 * Checks parsed JSON of the COCO instances form and indexes it.
 * @throws DatasetError naming the place, what stands there and the remedy
 */
export function cocoDataset(json: unknown, file: string): CocoDataset {
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new DatasetError(
      file,
      `holds ${describe(json)}, but COCO annotations are an object with images, annotations and categories`,
      "Pass an instances file, not a list of detections.",
    );
  const images = parseImages(cocoRows(json, "images", file));
  const categories = parseCategories(cocoRows(json, "categories", file));
  if (categories.length === 0)
    throw new DatasetError(file, "has no categories", "List every class as {id, name} under categories.");
  const labels = new Map(categories.map((category, label) => [category.id, label]));
  const annotationsByImage = new Map<number, CocoAnnotation[]>(images.map(({ id }) => [id, []]));
  for (const row of cocoRows(json, "annotations", file)) addAnnotation(row, annotationsByImage, labels);
  const dataset: CocoDataset = { file, images, categories, labels, annotationsByImage };
  checkBoxUnits(dataset);
  return dataset;
}

function parseImages(rows: Iterable<CocoRow>): CocoImage[] {
  const seen = new Map<number, number>();
  const images = Array.from(rows, (row) => ({
    id: ownId(row, seen, "image"),
    fileName: fileName(row, "file_name"),
    width: pixels(row, "width"),
    height: pixels(row, "height"),
  }));
  return images.sort((a, b) => a.id - b.id);
}

function parseCategories(rows: Iterable<CocoRow>): CocoCategory[] {
  const seen = new Map<number, number>();
  const categories = Array.from(rows, (row) => ({ id: ownId(row, seen, "category"), name: categoryName(row, "name") }));
  return categories.sort((a, b) => a.id - b.id);
}

function addAnnotation(
  row: CocoRow,
  byImage: ReadonlyMap<number, CocoAnnotation[]>,
  labels: CocoDataset["labels"],
): void {
  const { image_id, category_id, id } = row.values as Record<string, number>;
  const group = byImage.get(image_id!);
  if (group === undefined)
    refuse(
      row,
      "image_id",
      typeof image_id === "string"
        ? NO_ID
        : [", but no image has that id", "Remove the annotation or list its image under images."],
    );
  if (!labels.has(category_id!))
    refuse(
      row,
      "category_id",
      typeof category_id === "string"
        ? NO_ID
        : [
            `, but the category ids are ${firstOf([...labels.keys()], 12)}`,
            "Correct the id or list its category under categories.",
          ],
    );
  const bbox = box(row, "bbox");
  group.push({
    id: Number.isSafeInteger(id) ? id! : row.index + 1,
    categoryId: category_id!,
    bbox: [...bbox],
    area: area(row, "area") ?? bbox[2] * bbox[3],
    iscrowd: Boolean(flag(row, "iscrowd")),
  });
}
