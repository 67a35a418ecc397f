import type { SplitName } from "../data/splits.ts";
import { judgeBoxes } from "./judgeBoxes.ts";
import type { ImageRow, ObjectRow, PartIndex, PartSource, Row } from "./survey.ts";

/** A part of a data set with an index, which is made anew when rows have changed. */
export class SurveyPart {
  readonly source: PartSource;
  #index: PartIndex | undefined;

  constructor(source: PartSource) {
    this.source = source;
  }

  get name(): SplitName {
    return this.source.name;
  }

  get index(): PartIndex {
    this.#index ??= indexOf(this.source);
    return this.#index;
  }

  /** Rows have changed. */
  changed(): void {
    this.#index = undefined;
  }
}

/** A data set as it stands in its files, and what it is to be used for. */
export interface Survey {
  readonly parts: readonly SurveyPart[];
  /** Input of the network, [height, width]. */
  readonly size: readonly [number, number];
  /** Of the finest map that the network looks at, pixels of its input. */
  readonly stride: number;
  /** Objects that the network can find in an image. */
  readonly queries: number;
}

function indexOf({ images: allImages, categories: allCategories, annotations }: PartSource): PartIndex {
  const alive = <T extends Row>(rows: readonly T[]): T[] => rows.filter(({ dropped }) => !dropped);
  const [images, categories] = [alive(allImages), alive(allCategories)];
  const [imageOf, categoryOf] = [firstById(images), firstById(categories)];
  const objects = alive(annotations).flatMap((row): ObjectRow[] => {
    if (row.instead !== undefined) return [];
    const { image_id, category_id, bbox } = row.values;
    const box = isBox(bbox) ? bbox : undefined;
    return [{ row, image: imageOf.get(image_id), category: categoryOf.get(category_id), box, odd: undefined }];
  });
  judgeBoxes(objects);
  const objectsOf = new Map<ImageRow, ObjectRow[]>(images.map((image) => [image, []]));
  for (const object of objects) if (object.image) objectsOf.get(object.image)!.push(object);
  return { images, categories, imageOf, categoryOf, objects, objectsOf };
}

/** Undefined is no id. */
function firstById<T extends Row>(rows: readonly T[]): Map<unknown, T> {
  const first = new Map<unknown, T>();
  for (const row of rows) if (row.values.id !== undefined && !first.has(row.values.id)) first.set(row.values.id, row);
  return first;
}

const isBox = (value: unknown): value is [number, number, number, number] =>
  Array.isArray(value) && value.length === 4 && value.every((side) => Number.isFinite(side));
