import { describe } from "../describe.ts";
import type { CocoAnnotation } from "./dataset.ts";
import { DatasetError } from "./errors.ts";

/** One entry of a list in a COCO file, and where it stands. */
export interface CocoRow {
  readonly file: string;
  readonly list: string;
  readonly index: number;
  readonly values: Readonly<Record<string, unknown>>;
}

/** The entries of a file's list. @throws DatasetError where there is no list, or an entry is no object */
export function* cocoRows(json: object, list: string, file: string): Generator<CocoRow> {
  const rows: unknown = Object.hasOwn(json, list) ? (json as Record<string, unknown>)[list] : undefined;
  if (!Array.isArray(rows))
    throw new DatasetError(
      file,
      `has ${describe(rows)} as "${list}", which must be a list`,
      "Export the annotations in COCO instances form: images, annotations, categories.",
    );
  for (const [index, values] of rows.entries()) {
    if (typeof values !== "object" || values === null || Array.isArray(values))
      throw new DatasetError(
        file,
        `${list}[${index}] is ${describe(values)}, not an object`,
        "Remove it or export the annotations again.",
      );
    yield { file, list, index, values };
  }
}

/** @throws DatasetError naming the place of a value, what stands there (`is` continues the sentence) and the remedy */
export function refuse({ file, list, index, values }: CocoRow, key: string, [is, remedy]: [string, string]): never {
  throw new DatasetError(file, `${list}[${index}].${key} is ${describe(values[key])}${is}`, remedy);
}

/** A reader of values that `fits` accepts. */
const form =
  <T>(fits: (value: unknown) => value is T, ...advice: [is: string, remedy: string]) =>
  (row: CocoRow, key: string): T => {
    const value = row.values[key];
    return fits(value) ? value : refuse(row, key, advice);
  };

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
const isBox = (value: unknown): value is CocoAnnotation["bbox"] =>
  Array.isArray(value) && value.length === 4 && value.every((side) => Number.isFinite(side));

export const fileName = form(isText, ", not a file name", "Give the image's path inside its folder.");
export const categoryName = form(isText, ", not a name", "Name every category.");
export const pixels = form(
  (value): value is number => Number.isSafeInteger(value) && (value as number) > 0,
  ", not a number of pixels",
  "Give the image's width and height in whole pixels.",
);
export const box = form(isBox, ", not four finite numbers", "Boxes are [x, y, width, height] in pixels.");
export const area = form(
  (value): value is number | undefined | null => value === undefined || value === null || Number.isFinite(value),
  ", not a number",
  "Give the object's area in pixels, or leave area out.",
);
export const flag = form(
  (value): value is 0 | 1 | boolean | undefined | null =>
    value === 0 || value === 1 || typeof value === "boolean" || value === undefined || value === null,
  "",
  "iscrowd is 0 or 1.",
);

/** What is wrong with an id that is no number. */
export const NO_ID: [is: string, remedy: string] = [", not a whole number", "Ids are whole numbers without quotes."];

/** The id of a row, a whole number that no earlier row has; `seen` remembers it. @throws DatasetError */
export function ownId(row: CocoRow, seen: Map<number, number>, noun: string): number {
  const { file, list, index, values } = row;
  const { id } = values;
  const at = `${list}[${index}].id`;
  if (typeof id === "bigint" || (Number.isInteger(id) && !Number.isSafeInteger(id))) {
    const number = typeof id === "bigint" ? String(id) : `about ${(id as number).toExponential(3)}`;
    const remedy = "Most programs round such numbers in JSON: number images and categories anew, from 1 on.";
    throw new DatasetError(file, `${at} is ${number}, beyond 2^53`, remedy);
  }
  if (typeof id !== "number" || !Number.isInteger(id)) return refuse(row, "id", NO_ID);
  const first = seen.get(id);
  if (first !== undefined)
    throw new DatasetError(file, `${at} is ${id}, as ${list}[${first}].id is`, `Give every ${noun} its own id.`);
  seen.set(id, index);
  return id;
}
