import { describe } from "../describe.ts";
import { parseAnnotations } from "./cocoAnnotations.ts";
import { checkBoxUnits } from "./cocoUnits.ts";
import type { CocoCategory, CocoDataset, CocoImage } from "./dataset.ts";
import { DatasetError } from "./errors.ts";

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
    if (error instanceof DatasetError && LARGE_ID.test(text)) cocoDataset(readJson(text, file, exactIds), file);
    throw error;
  }
}

function readJson(text: string, file: string, reviver?: Reviver): unknown {
  try {
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text, reviver);
  } catch (error) {
    throw new DatasetError(
      file,
      `is not valid JSON (${error instanceof Error ? error.message : String(error)})`,
      "Check that the file is complete, or export the annotations again.",
    );
  }
}

/** What JSON.parse calls for each value; older browsers give no `context`. */
type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown;

const LARGE_ID = /id"\s*:\s*-?\d{16}/;

/** Whole numbers under "id", "image_id", … that a number cannot hold, as bigints. */
const exactIds: Reviver = (key, value, context) =>
  key.endsWith("id") && Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
    ? BigInt(context!.source!)
    : value;

/**
 * Checks parsed JSON of the COCO instances form and indexes it.
 * @throws DatasetError naming the place, what stands there and the remedy
 */
export function cocoDataset(json: unknown, file: string): CocoDataset {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new DatasetError(
      file,
      `holds ${describe(json)}, but COCO annotations are an object with images, annotations and categories`,
      "Pass an instances file, not a list of detections.",
    );
  }
  const images = parseImages(rows(json, "images", file), file);
  const categories = parseCategories(rows(json, "categories", file), file);
  const labels = new Map(categories.map((category, label) => [category.id, label]));
  const annotationsByImage = parseAnnotations(rows(json, "annotations", file), { file, images, labels });
  const dataset: CocoDataset = {
    file,
    images,
    categories,
    labels,
    remapped: categories.some((category, label) => category.id !== label),
    annotationsByImage,
  };
  checkBoxUnits(dataset);
  return dataset;
}

function rows(json: object, key: string, file: string): readonly unknown[] {
  const value = Object.hasOwn(json, key) ? (json as Record<string, unknown>)[key] : undefined;
  if (Array.isArray(value)) return value;
  throw new DatasetError(
    file,
    `has ${describe(value)} as "${key}", which must be a list`,
    "Export the annotations in COCO instances form: images, annotations, categories.",
  );
}

function parseImages(list: readonly unknown[], file: string): CocoImage[] {
  const seen = new Map<number, number>();
  const images = list.map((row, i): CocoImage => {
    const at = `images[${i}]`;
    const { id, file_name: fileName, width, height } = record(row, at, file);
    const imageId = integer(id, `${at}.id`, file);
    const first = seen.get(imageId);
    if (first !== undefined) {
      throw new DatasetError(file, `${at}.id is ${imageId}, as images[${first}].id is`, "Give every image its own id.");
    }
    seen.set(imageId, i);
    if (typeof fileName !== "string" || fileName === "") {
      throw new DatasetError(
        file,
        `${at}.file_name is ${describe(fileName)}, not a file name`,
        "Give the image's path inside its folder.",
      );
    }
    return {
      id: imageId,
      fileName,
      width: side(width, `${at}.width`, file),
      height: side(height, `${at}.height`, file),
    };
  });
  return images.sort((a, b) => a.id - b.id);
}

function parseCategories(list: readonly unknown[], file: string): CocoCategory[] {
  const seen = new Map<number, number>();
  const categories = list.map((row, i): CocoCategory => {
    const at = `categories[${i}]`;
    const { id, name } = record(row, at, file);
    const categoryId = integer(id, `${at}.id`, file);
    const first = seen.get(categoryId);
    if (first !== undefined) {
      throw new DatasetError(
        file,
        `${at}.id is ${categoryId}, as categories[${first}].id is`,
        "Give every category its own id.",
      );
    }
    seen.set(categoryId, i);
    if (typeof name !== "string" || name === "") {
      throw new DatasetError(file, `${at}.name is ${describe(name)}, not a name`, "Name every category.");
    }
    return { id: categoryId, name };
  });
  if (categories.length === 0) {
    throw new DatasetError(file, "has no categories", "List every class as {id, name} under categories.");
  }
  return categories.sort((a, b) => a.id - b.id);
}

function record(row: unknown, at: string, file: string): Record<string, unknown> {
  if (typeof row === "object" && row !== null && !Array.isArray(row)) return row as Record<string, unknown>;
  throw new DatasetError(
    file,
    `${at} is ${describe(row)}, not an object`,
    "Remove it or export the annotations again.",
  );
}

function integer(value: unknown, at: string, file: string): number {
  if (Number.isSafeInteger(value)) return value as number;
  if (typeof value === "bigint" || Number.isInteger(value)) {
    const number = typeof value === "bigint" ? String(value) : `about ${(value as number).toExponential(3)}`;
    const remedy = "Most programs round such numbers in JSON: number images and categories anew, from 1 on.";
    throw new DatasetError(file, `${at} is ${number}, beyond 2^53`, remedy);
  }
  throw new DatasetError(
    file,
    `${at} is ${describe(value)}, not a whole number`,
    "Ids are whole numbers without quotes.",
  );
}

function side(value: unknown, at: string, file: string): number {
  if (Number.isSafeInteger(value) && (value as number) > 0) return value as number;
  throw new DatasetError(
    file,
    `${at} is ${describe(value)}, not a number of pixels`,
    "Give the image's width and height in whole pixels.",
  );
}
