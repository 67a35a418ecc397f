import { describe } from "../../describe.ts";
import type { Check, Finding, Fix } from "../check.ts";
import type { FileProblem, Row } from "../survey.ts";
import type { SurveyPart } from "../surveyPart.ts";
import { unifyCategories } from "../unifyCategories.ts";
import { drop, inParts, isWhole, put, repeats } from "./common.ts";

const ofFile = (kind: FileProblem[0]): Check["find"] =>
  inParts(({ source }) =>
    source.problems.filter(([one]) => one === kind).map(([, is]) => ({ text: `${source.file}: ${is}` })),
  );

/** What is written anew is without it. */
const rewritten = (kind: FileProblem[0], does: string): Fix => ({
  does,
  mend: ({ part: { source } }) => {
    const rest = source.problems.filter(([one]) => one !== kind);
    source.problems.splice(0, source.problems.length, ...rest);
  },
});

const isText = (value: unknown): boolean => typeof value === "string" && value !== "";
const isNumber = (value: unknown): boolean => value === undefined || value === null || Number.isFinite(value);
const isFlag = (value: unknown): boolean => [0, 1, true, false, undefined, null].includes(value as 0);

/** What each entry must have, and what may stand there in place of a wrong value; without it the entry is dropped. */
const FIELDS: Readonly<
  Record<
    "images" | "annotations" | "categories",
    readonly [key: string, fits: (value: unknown) => boolean, instead?: unknown][]
  >
> = {
  images: [
    ["id", isWhole],
    ["file_name", isText],
  ],
  annotations: [
    ["image_id", isWhole],
    ["category_id", isWhole],
    ["area", isNumber, null],
    ["iscrowd", isFlag, 0],
  ],
  categories: [
    ["id", isWhole],
    ["name", isText],
  ],
};

/** Lists that entries stand in. */
const LISTS = ["images", "categories", "annotations"] as const;

const wrongFields = ({ list, values }: Row) => FIELDS[list].filter(([key, fits]) => !fits(values[key]));

function* malformed({ source }: SurveyPart): Generator<Omit<Finding, "part">> {
  for (const list of LISTS)
    for (const row of source[list]) {
      if (row.dropped) continue;
      const at = `${source.name}: ${list}[${row.index}]`;
      const [wrong] = wrongFields(row);
      if (row.instead !== undefined) yield { row, text: `${at} is ${describe(row.instead)}, which is no entry` };
      else if (wrong) yield { row, text: `${at}.${wrong[0]} is ${describe(row.values[wrong[0]])}` };
    }
}

/** Ids in quotes become numbers, what can be left out is; other entries are dropped. */
function mendFields({ row }: Finding): void {
  for (const [key, fits, instead] of wrongFields(row!)) {
    const given = row!.values[key];
    const number = typeof given === "string" && given.trim() !== "" ? Number(given) : undefined;
    if (number !== undefined && fits(number)) row!.values = { ...row!.values, [key]: number };
    else if (instead !== undefined) row!.values = { ...row!.values, [key]: instead };
    else row!.dropped = true;
  }
}

/** Gives images ids of their own, from 1 on; their objects follow. */
function numberImages(part: SurveyPart): void {
  const { objects, images } = part.index;
  const ids = new Map(images.map((image, i) => [image, i + 1]));
  for (const { row, image } of objects) if (image) row.values = { ...row.values, image_id: ids.get(image) };
  for (const [image, id] of ids) image.values = { ...image.values, id };
  part.changed();
}

const isLarge = (id: unknown): boolean => typeof id === "bigint" || (Number.isInteger(id) && !Number.isSafeInteger(id));

/** Files as a whole, and entries of their lists. */
export const RECORD_CHECKS: readonly Check[] = [
  {
    kind: "annotations-unreadable",
    severity: "error",
    title: "annotations that cannot be read",
    means: "nothing of that part can be used",
    remedy: "export the annotations again, in COCO instances form: images, annotations, categories",
    find: ofFile("annotations-unreadable"),
  },
  {
    kind: "file-encoding",
    severity: "warning",
    title: "annotation files that are not plain UTF-8",
    means: "programs read other names in them, or refuse them",
    remedy: "save them as UTF-8 without a byte order mark",
    find: ofFile("file-encoding"),
    fix: rewritten("file-encoding", "written as UTF-8"),
  },
  {
    kind: "json-nan",
    severity: "error",
    title: "NaN or Infinity in JSON",
    means: "JSON has no such numbers, so readers other than Python's refuse the file",
    remedy: "write null in their place, or drop what they belong to",
    find: ofFile("json-nan"),
    fix: rewritten("json-nan", "written as null"),
  },
  {
    kind: "names-differ",
    severity: "error",
    title: "a data.yaml whose names are not those of the annotations",
    means: "one of them is wrong, so training refuses both",
    remedy: "correct names in data.yaml, or leave them out: the annotations have them",
    find: ofFile("names-differ"),
    fix: rewritten("names-differ", "left out of the new data.yaml"),
  },
  {
    kind: "entries-malformed",
    severity: "error",
    title: "entries without what they need",
    means:
      "an image needs an id and file_name, an object image_id and category_id, a category an id and a name; ids are whole numbers without quotes",
    remedy: "complete or remove them",
    find: inParts(malformed),
    fix: {
      does: "completed where ids stood in quotes or the value may be left out, otherwise dropped",
      mend: mendFields,
    },
  },
  {
    kind: "image-ids-repeated",
    severity: "error",
    title: "images that share an id",
    means: "nobody can tell whose their objects are",
    remedy: "give every image its own id, and its objects that one",
    find: inParts(function* ({ name, index: { images } }) {
      for (const [row, first] of repeats(images, ({ values }) => values.id))
        yield {
          row,
          text: `${name}: ${row.values.file_name} has id ${row.values.id}, as ${first.values.file_name} has`,
        };
    }),
    fix: {
      does: "left out, and their objects too unless both name one file",
      mend: ({ part: { index }, row }) => {
        row!.dropped = true;
        const first = index.imageOf.get(row!.values.id)!;
        if (first.values.file_name === row!.values.file_name) return;
        first.dropped = true;
        for (const object of index.objectsOf.get(first)!) object.row.dropped = true;
      },
    },
  },
  {
    kind: "ids-beyond-2-53",
    severity: "error",
    title: "ids of more than 53 bits",
    means: "JSON readers round such numbers, so that objects get to other images",
    remedy: "number images and categories anew, from 1 on",
    find: inParts(function* ({ name, index }) {
      for (const list of ["images", "categories"] as const)
        for (const row of index[list])
          if (isLarge(row.values.id)) yield { row, text: `${name}: ${list}[${row.index}].id is ${row.values.id}` };
    }),
    fix: {
      does: "numbered anew",
      mend: ({ part, row }, survey) => {
        if (row!.list === "categories") unifyCategories(survey);
        else if (isLarge(row!.values.id)) numberImages(part);
      },
    },
  },
  {
    kind: "image-unknown",
    severity: "error",
    title: "objects of images that are not listed",
    means: "they belong to nothing",
    remedy: "list the images, or remove the objects",
    find: inParts(function* ({ name, index: { objects } }) {
      for (const { row, image } of objects)
        if (!image && isWhole(row.values.image_id))
          yield { row, text: `${name}: annotations[${row.index}].image_id is ${row.values.image_id}` };
    }),
    fix: { does: "dropped", mend: drop },
  },
  {
    kind: "annotation-ids-repeated",
    severity: "note",
    title: "objects that share an id",
    means: "tools that look objects up by id find one of them only; dfine does not",
    remedy: "number them anew",
    find: inParts(function* ({ name, index: { objects } }) {
      for (const [{ row }, first] of repeats(objects, ({ row: { values } }) => values.id))
        yield {
          row,
          put: { id: undefined },
          text: `${name}: annotations[${row.index}].id is ${row.values.id}, as that of annotations[${first.row.index}]`,
        };
    }),
    fix: { does: "numbered anew", mend: put },
  },
];
