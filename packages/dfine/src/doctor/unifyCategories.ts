import type { Row } from "./survey.ts";
import type { Survey, SurveyPart } from "./surveyPart.ts";

const idOf = ({ values }: Row): number => Number(values.id);
/** A part's categories by ascending id, as labels count them. */
export const inOrder = (rows: readonly Row[]): Row[] => [...rows].sort((a, b) => idOf(a) - idOf(b));

/** Gives all parts the same categories: each name once, in the order of the first part that has it, with ids from 0 on. */
export function unifyCategories({ parts }: Survey): void {
  const names = [...new Set(parts.flatMap(({ index }) => inOrder(index.categories).map(({ values }) => values.name)))];
  if (parts.every((part) => isDone(part, names))) return;
  const ids = new Map(names.map((name, id) => [name, id]));
  for (const part of parts) {
    const { categories, objects } = part.index;
    for (const { row, category } of objects)
      if (category) row.values = { ...row.values, category_id: ids.get(category.values.name) };
    const own = new Map(categories.map(({ values }) => [values.name, values]));
    const rows = names.map((name, index): Row => {
      const values = { ...own.get(name), id: index, name };
      return { list: "categories", index, values, dropped: false };
    });
    part.source.categories.splice(0, part.source.categories.length, ...rows);
    part.changed();
  }
}

const isDone = ({ index: { categories } }: SurveyPart, names: readonly unknown[]): boolean =>
  categories.length === names.length &&
  categories.every(({ values }, i) => values.id === i && values.name === names[i]);
