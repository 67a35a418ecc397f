import type { CocoDataset } from "./dataset.ts";
import { DatasetError } from "./errors.ts";

/**
 * Makes sure that two parts of a data set give the same label to the same class.
 * @throws DatasetError naming the first difference
 */
export function checkSameCategories(train: CocoDataset, other: CocoDataset): void {
  const count = Math.max(train.categories.length, other.categories.length);
  for (let label = 0; label < count; label++) {
    const a = train.categories[label];
    const b = other.categories[label];
    if (a?.id === b?.id && a?.name === b?.name) continue;
    const said = (category: typeof a) => (category ? `"${category.name}" with id ${category.id}` : "nothing");
    throw new DatasetError(
      other.file,
      `label ${label} is ${said(b)}, but in ${train.file} it is ${said(a)}`,
      "List the same categories with the same ids in both files, also those without objects.",
    );
  }
}

/** Makes sure that a data set's classes are the names given elsewhere, in label order. @throws DatasetError */
export function checkCategoryNames(dataset: CocoDataset, names: readonly string[], namesFrom: string): void {
  const own = dataset.categories.map(({ name }) => name);
  if (own.length === names.length && own.every((name, label) => name === names[label])) return;
  throw new DatasetError(
    dataset.file,
    `has the categories ${own.join(", ")}, but ${namesFrom} names ${names.join(", ")}`,
    "Correct names, or leave it out: the annotations have them.",
  );
}
