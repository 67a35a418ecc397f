import { counted, firstOf } from "../../describe.ts";
import { brokenText } from "../brokenText.ts";
import type { Check, Finding, Fix } from "../check.ts";
import type { Row } from "../survey.ts";
import type { Survey, SurveyPart } from "../surveyPart.ts";
import { inOrder, unifyCategories } from "../unifyCategories.ts";
import { drop, inParts, isWhole, put, repeats } from "./common.ts";

/** How many times more objects the most frequent class may have. */
const IMBALANCE = 10;

const said = ({ values }: Row): string => `"${values.name}" (id ${values.id})`;
const unify = (does: string): Fix => ({ does, mend: (_, survey) => unifyCategories(survey) });

/** By how much all category ids of objects are off, where some are of no category but the neighbours of all are; else 0. */
function shiftOf({ index: { objects, categoryOf } }: SurveyPart): number {
  if (objects.every(({ category }) => category)) return 0;
  const used = [...new Set(objects.map(({ row }) => row.values.category_id))];
  const fits = (by: number) => used.every((id) => typeof id === "number" && categoryOf.has(id + by));
  return used.length < 2 ? 0 : fits(-1) ? -1 : fits(1) ? 1 : 0;
}

/** Numbers of objects by class name. */
function countsOf(parts: readonly SurveyPart[]): Map<unknown, number> {
  const counts = new Map<unknown, number>();
  for (const { index } of parts) {
    for (const { values } of index.categoryOf.values()) counts.set(values.name, counts.get(values.name) ?? 0);
    for (const { category, row } of index.objects)
      if (category && !row.values.iscrowd) counts.set(category.values.name, counts.get(category.values.name)! + 1);
  }
  return counts;
}

const named = (parts: readonly SurveyPart[], isTrain: boolean) =>
  parts.filter(({ name }) => (name === "train") === isTrain);

function* imbalance({ parts }: Survey): Generator<Finding> {
  const [part] = named(parts, true);
  if (!part) return;
  const counts = [...countsOf([part])].filter(([, count]) => count > 0);
  const [most, largest] = counts.reduce((a, b) => (b[1] > a[1] ? b : a), ["", 0] as [unknown, number]);
  for (const [name, count] of counts)
    if (count * IMBALANCE <= largest)
      yield { part, text: `"${name}" has ${counted(count, "object")}, "${most}" has ${largest}` };
}

function* withoutObjects({ parts }: Survey): Generator<Finding> {
  if (parts.some(shiftOf)) return;
  for (const [name, count] of countsOf(parts)) if (count === 0) yield { part: parts[0]!, text: `"${name}"` };
}

function* onlyJudged({ parts }: Survey): Generator<Finding> {
  const learned = countsOf(named(parts, true));
  if (named(parts, true).length === 0 || parts.some(shiftOf)) return;
  for (const part of named(parts, false))
    for (const [name, count] of countsOf([part]))
      if (count > 0 && !learned.get(name))
        yield { part, text: `${part.name}: "${name}" has ${counted(count, "object")} there, and none in train` };
}

function* differing({ parts }: Survey): Generator<Finding> {
  const [first, ...others] = parts;
  const list = ({ index }: SurveyPart) => inOrder(index.categories).map(said);
  for (const part of others) {
    const [mine, theirs] = [list(part), list(first!)];
    if (mine.length === 0 || theirs.length === 0 || firstOf(mine, mine.length) === firstOf(theirs, theirs.length))
      continue;
    yield { part, text: `${part.name} has ${firstOf(mine)}; ${first!.name} has ${firstOf(theirs)}` };
  }
}

const brokenNames = (isMendable: boolean) =>
  inParts(function* ({ name, index: { categories } }) {
    for (const row of categories) {
      const broken = typeof row.values.name === "string" ? brokenText(row.values.name) : undefined;
      if (!broken || (broken.mended !== undefined) !== isMendable) continue;
      yield { row, put: { name: broken.mended }, text: `${name}: ${JSON.stringify(row.values.name)} ${broken.is}` };
    }
  });

/** Categories of a part that have the same value there. */
const sharing = (key: "id" | "name") =>
  inParts(function* ({ name, index: { categories } }) {
    for (const [row, first] of repeats(categories, ({ values }) => values[key]))
      yield { row, text: `${name}: ${said(row)} and ${said(first)}` };
  });

/** Categories: their ids and names, and how many objects they have. */
export const CLASS_CHECKS: readonly Check[] = [
  {
    kind: "category-ids-repeated",
    severity: "error",
    title: "categories that share an id",
    means: "nobody can tell which of them an object is",
    remedy: "give every category its own id, and correct the objects' ids",
    find: sharing("id"),
    fix: {
      does: "made one class, with both names",
      mend: ({ part, row }) => {
        const first = part.index.categoryOf.get(row!.values.id)!;
        if (first.values.name !== row!.values.name)
          first.values = { ...first.values, name: `${first.values.name} or ${row!.values.name}` };
        row!.dropped = true;
      },
    },
  },
  {
    kind: "category-ids-shifted",
    severity: "error",
    title: "objects whose category ids are all off by one",
    means: "ids counted from 1 meet categories counted from 0, or the other way round: every object gets a wrong class",
    remedy: "number the categories as the objects do",
    find: inParts(function* (part) {
      const by = shiftOf(part);
      if (by === 0) return;
      for (const { row } of part.index.objects) {
        const id = row.values.category_id as number;
        const text = `${part.name}: annotations[${row.index}].category_id is ${id}, and should be ${id + by}`;
        yield { row, put: { category_id: id + by }, text };
      }
    }),
    fix: { does: "set right by one", mend: put },
  },
  {
    kind: "category-unknown",
    severity: "error",
    title: "objects of categories that are not listed",
    means: "nobody knows what they are",
    remedy: "list their categories, or correct the ids",
    find: inParts(function* (part) {
      if (shiftOf(part) !== 0) return;
      const { objects, categories } = part.index;
      for (const { row, category } of objects)
        if (!category && isWhole(row.values.category_id))
          yield {
            row,
            text: `${part.name}: annotations[${row.index}].category_id is ${row.values.category_id}; the ids are ${firstOf(categories.map(({ values }) => String(values.id)))}`,
          };
    }),
    fix: { does: "dropped", mend: drop },
  },
  {
    kind: "class-names-broken",
    severity: "warning",
    title: "class names in a broken encoding",
    means: "results and reports show other names than people gave, and the same class may count twice",
    remedy: "save the names as UTF-8, without byte order marks and blanks at their ends",
    find: brokenNames(true),
    fix: { does: "written as they were meant", mend: put },
  },
  {
    kind: "class-names-lost",
    severity: "warning",
    title: "class names with lost characters",
    means: "an encoding was misread and saved so: the characters cannot be had back",
    remedy: "write the names anew",
    find: brokenNames(false),
  },
  {
    kind: "class-names-repeated",
    severity: "warning",
    title: "categories that share a name",
    means: "one class is learned as two that look alike, and results by name cannot tell them apart",
    remedy: "make them one, or give each its own name",
    find: sharing("name"),
    fix: unify("made one class"),
  },
  {
    kind: "categories-differ",
    severity: "error",
    title: "parts that have other categories, or other ids for them",
    means: "what is learned as one class would be judged as another",
    remedy: "list the same categories with the same ids in all files, also those without objects",
    find: differing,
    fix: unify("given the same categories, by name"),
  },
  {
    kind: "category-ids-with-gaps",
    severity: "note",
    title: "category ids with gaps",
    means: "dfine maps them to labels without gaps; programs that take ids for labels fail or learn nothing",
    remedy: "number them from 0 on, if other programs read the data",
    find: inParts(function* ({ name, index: { categories } }) {
      let before = 0;
      for (const row of inOrder(categories)) {
        const id = Number(row.values.id);
        if (id > before + 1)
          yield { row, text: `${name}: ${said(row)} ${before === 0 ? "is the first" : `comes after ${before}`}` };
        before = id;
      }
    }),
    fix: unify("numbered from 0 on"),
  },
  {
    kind: "category-ids-from-one",
    severity: "note",
    title: "category ids that begin with 1",
    means:
      "COCO's own do, and dfine maps them to labels from 0 on; programs that take ids for labels, as YOLO's files do, are off by one class",
    remedy: "number them from 0 on, if other programs read the data",
    find: inParts(function* ({ name, index: { categories } }) {
      const [row] = inOrder(categories);
      if (row && Number(row.values.id) === 1) yield { row, text: `${name}: ${said(row)} is the first` };
    }),
    fix: unify("numbered from 0 on"),
  },
  {
    kind: "class-without-objects",
    severity: "warning",
    title: "classes without objects",
    means: "they are never learned, and there is no AP for them",
    remedy: "label some, or take the classes out",
    find: withoutObjects,
  },
  {
    kind: "class-not-in-train",
    severity: "warning",
    title: "classes with objects in val or test only",
    means: "they are never learned, so they lower the AP",
    remedy: "move some of their images to train",
    find: onlyJudged,
  },
  {
    kind: "class-imbalance",
    severity: "note",
    title: "classes with a tenth of the objects of the most frequent one, or less",
    means: "they are learned later and less well",
    remedy: "label more of them, or repeat their images in train",
    find: imbalance,
  },
];
