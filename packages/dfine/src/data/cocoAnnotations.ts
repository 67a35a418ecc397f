import { describe } from "../describe.ts";
import type { CocoAnnotation, CocoImage } from "./dataset.ts";
import { DatasetError } from "./errors.ts";

/** What annotation rows are checked against. */
interface Context {
  readonly file: string;
  readonly images: readonly CocoImage[];
  readonly labels: ReadonlyMap<number, number>;
}

/** Checks annotation rows and groups them by image id. @throws DatasetError */
export function parseAnnotations(list: readonly unknown[], context: Context): Map<number, CocoAnnotation[]> {
  const byImage = new Map<number, CocoAnnotation[]>(context.images.map((image) => [image.id, []]));
  for (let i = 0; i < list.length; i++) {
    const row = list[i] as Record<string, unknown>;
    if (typeof row !== "object" || row === null) {
      fail(
        context,
        `annotations[${i}] is ${describe(row)}, not an object`,
        "Remove it or export the annotations again.",
      );
    }
    const group = byImage.get(row.image_id as number);
    if (group === undefined) {
      fail(
        context,
        `annotations[${i}].image_id is ${describe(row.image_id)}, but no image has that id`,
        "Remove the annotation or list its image under images.",
      );
    }
    const categoryId = row.category_id as number;
    if (!context.labels.has(categoryId)) {
      const known = [...context.labels.keys()];
      fail(
        context,
        `annotations[${i}].category_id is ${describe(categoryId)}, but the category ids are ${listed(known)}`,
        "Correct the id or list its category under categories.",
      );
    }
    const bbox = box(row.bbox, i, context);
    group.push({
      id: Number.isSafeInteger(row.id) ? (row.id as number) : i + 1,
      categoryId,
      bbox,
      area: area(row.area, i, context) ?? bbox[2] * bbox[3],
      iscrowd: flag(row.iscrowd, i, context),
    });
  }
  return byImage;
}

function box(value: unknown, i: number, context: Context): [number, number, number, number] {
  if (Array.isArray(value) && value.length === 4) {
    const [x, y, width, height] = value as unknown[];
    if (Number.isFinite(x) && Number.isFinite(y) && Number.isFinite(width) && Number.isFinite(height)) {
      return [x as number, y as number, width as number, height as number];
    }
  }
  return fail(
    context,
    `annotations[${i}].bbox is ${describe(value)}, not four finite numbers`,
    "Boxes are [x, y, width, height] in pixels.",
  );
}

function area(value: unknown, i: number, context: Context): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (Number.isFinite(value)) return value as number;
  return fail(
    context,
    `annotations[${i}].area is ${describe(value)}, not a number`,
    "Give the object's area in pixels, or leave area out.",
  );
}

function flag(value: unknown, i: number, context: Context): boolean {
  if (value === undefined || value === null || value === 0 || value === false) return false;
  if (value === 1 || value === true) return true;
  return fail(context, `annotations[${i}].iscrowd is ${describe(value)}`, "iscrowd is 0 or 1.");
}

function listed(ids: readonly number[]): string {
  if (ids.length <= 12) return ids.join(", ");
  return `${ids.slice(0, 6).join(", ")}, … ${ids.at(-1)} (${ids.length} ids)`;
}

function fail(context: Context, problem: string, remedy: string): never {
  throw new DatasetError(context.file, problem, remedy);
}
