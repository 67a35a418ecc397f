import { areAnonymous } from "../checkpoint/classNames.ts";
import type { CocoDataset } from "../data/dataset.ts";
import { DatasetError } from "../data/errors.ts";
import { firstOf } from "../describe.ts";

/**
 * Matches a model's classes with a data set's categories by name, or by order (class i is the i-th category by id) where
 * the model has no names. `categoryIds`, by class, are undefined where the data set does not have it; `classes` are the names by
 * class, the data set's where the model has none; `notes` tell the user.
 * @throws DatasetError where nothing matches
 */
export function matchCategories(names: readonly string[], dataset: CocoDataset) {
  const { categories, file } = dataset;
  const own = categories.map(({ name }) => name);
  const ids = new Map(categories.map(({ name, id }) => [name, id]));
  const unknown = own.filter((name) => !names.includes(name));
  if (areAnonymous(names) && unknown.length > 0) {
    if (names.length !== own.length)
      throw new DatasetError(
        file,
        `has ${own.length} categories, but the weights have ${names.length} classes, and no names`,
        "Give the annotations that belong to these weights.",
      );
    return {
      categoryIds: categories.map(({ id }) => id),
      classes: own,
      notes: [
        `the weights have no class names: their classes 0 to ${names.length - 1} are taken to be ${firstOf(own)}, in this order`,
      ],
    };
  }
  if (unknown.length === own.length)
    throw new DatasetError(
      file,
      `has the categories ${firstOf(own)}, but the model knows ${firstOf(names)}`,
      "Give the annotations that belong to these weights, or rename the categories.",
    );
  const notes =
    unknown.length === 0
      ? []
      : [`the model knows nothing of the categories ${firstOf(unknown)}: nothing is found of them`];
  return { categoryIds: names.map((name) => ids.get(name)), classes: names, notes };
}
