import type { Check, Finding } from "../check.ts";
import { similarImages } from "../similarImages.ts";
import { type ImageFacts, type ImageRow, pixelsOf, type Size, sameSize, sizesOf } from "../survey.ts";
import type { SurveyPart } from "../surveyPart.ts";
import { dropImage, imageName, inParts, repeats, withDropped } from "./common.ts";

type Rest = Omit<Check, "kind" | "find" | "fix">;

const OUT = { does: withDropped, mend: dropImage };

/** The file's own name, where the image is there under another one. */
function rename(finding: Finding): void {
  const image = finding.row as ImageRow;
  const { naming: _, ...facts } = image.facts;
  if (facts.path === undefined) {
    dropImage(finding);
    return;
  }
  image.values = { ...image.values, file_name: facts.path };
  image.facts = facts;
}

/** A check of how file names lead to files. */
const naming = (kind: NonNullable<ImageFacts["naming"]>[0], rest: Rest, does: string): Check => ({
  ...{ kind, ...rest },
  find: inParts(function* (part) {
    for (const row of part.index.images)
      if (row.facts.naming?.[0] === kind) yield { row, text: `${imageName(part, row)} ${row.facts.naming[1]}` };
  }),
  fix: { does, mend: rename },
});

/** A check of whether files can be read as images. */
const reading = (kind: NonNullable<ImageFacts["problem"]>[0], rest: Rest): Check => ({
  ...{ kind, ...rest },
  find: inParts(function* (part) {
    for (const row of part.index.images)
      if (row.facts.problem?.[0] === kind) yield { row, text: `${imageName(part, row)} ${row.facts.problem[1]}` };
  }),
  fix: OUT,
});

const shown = (size: Size | undefined): string => (size ? `${size.width}x${size.height}` : "no size");

/** Whether declared width and height are those of the file. */
const isOtherSize = ({ values, facts }: ImageRow): boolean => {
  const declared = pixelsOf(values);
  const sizes = sizesOf(facts);
  return sizes.length > 0 && !(declared && sizes.some((size) => sameSize(size, declared)));
};

/** By how much sides of a copy may differ from the same shape, since they are whole pixels. */
const SAME_SHAPE = 0.02;
/** Pixels by which boxes may leave their image. */
const MARGIN = 2;

/** Gives an image the file's size. Boxes are scaled where they were made on a copy of another size; where nobody can tell, the image is dropped. */
function setSize(finding: Finding): void {
  const image = finding.row as ImageRow;
  const [real] = sizesOf(image.facts) as [Size];
  const declared = pixelsOf(image.values);
  const objects = finding.part.index.objectsOf.get(image) ?? [];
  const fit = ({ width, height }: Size) =>
    objects.every(({ box }) => !box || (box[0] + box[2] <= width + MARGIN && box[1] + box[3] <= height + MARGIN));
  const isSwapped = declared?.width === real.height && declared.height === real.width;
  const isOnlyWrong = !declared || (fit(real) && (isSwapped || !fit(declared)));
  const scale = declared && ([real.width / declared.width, real.height / declared.height] as const);
  if (!isOnlyWrong && scale) {
    if (Math.abs(scale[0] / scale[1] - 1) > SAME_SHAPE && objects.length > 0) {
      dropImage(finding);
      return;
    }
    for (const { row, box } of objects) {
      if (!box) continue;
      const { segmentation: _, keypoints: __, ...values } = row.values;
      const bbox = box.map((side, i) => side * scale[i % 2]!);
      row.values = { ...values, bbox, area: bbox[2]! * bbox[3]! };
    }
  }
  image.values = { ...image.values, ...real };
}

/** How an image's EXIF turns it, and whether its boxes are for the turned picture. */
function turning({ values, facts }: ImageRow): { rewrite: "turned" | "stored"; is: string } {
  const [turned, stored] = sizesOf(facts) as [Size, Size | undefined];
  const declared = pixelsOf(values);
  if (!stored || sameSize(stored, turned))
    return { rewrite: "turned", is: "which the declared size does not tell from the stored one" };
  return declared && sameSize(declared, stored)
    ? { rewrite: "stored", is: `and is declared as ${shown(stored)}, as it is stored` }
    : { rewrite: "turned", is: `and is declared as ${shown(turned)}, as it is seen` };
}

function settle({ row }: Finding): void {
  const image = row as ImageRow;
  const { rewrite } = turning(image);
  const [turned, stored] = sizesOf(image.facts) as [Size, Size | undefined];
  image.facts = { ...image.facts, rewrite, orientation: 1, stored: rewrite === "turned" ? turned : (stored ?? turned) };
}

/** Images of a part whose likes are in a later part, which `pair` finds. */
const leaks = (
  pair: (some: readonly ImageRow[], others: readonly ImageRow[]) => Iterable<readonly [ImageRow, ImageRow]>,
): Check["find"] =>
  function* ({ parts }) {
    for (const [i, part] of parts.entries())
      for (const other of parts.slice(i + 1))
        for (const [row, twin] of pair(part.index.images, other.index.images))
          yield { part, row, text: `${imageName(part, row)} is ${imageName(other, twin)}` };
  };

function* sameBytes(some: readonly ImageRow[], others: readonly ImageRow[]): Generator<readonly [ImageRow, ImageRow]> {
  const found = new Map(others.map((row) => [row.facts.digest, row]));
  for (const row of some) {
    const twin = row.facts.digest === undefined ? undefined : found.get(row.facts.digest);
    if (twin) yield [row, twin];
  }
}

function* alike(some: readonly ImageRow[], others: readonly ImageRow[]): Generator<readonly [ImageRow, ImageRow]> {
  for (const pair of similarImages(some, others, ({ facts }) => facts.thumbnail))
    if (pair[0].facts.digest !== pair[1].facts.digest) yield pair;
}

const fileOf = ({ values, facts }: ImageRow): unknown => facts.path ?? values.file_name;

function* listedTwice(part: SurveyPart): Generator<Omit<Finding, "part">> {
  for (const [row, first] of repeats(part.index.images, fileOf))
    yield {
      row,
      put: { image_id: first.values.id },
      text: `${imageName(part, row)}: images[${first.index}] and [${row.index}]`,
    };
}

/** Images: their names, files, sizes, and likeness. */
export const IMAGE_CHECKS: readonly Check[] = [
  naming(
    "path-outside",
    {
      severity: "error",
      title: "file names that are absolute or leave the image folder",
      means: "they are refused: on another machine they lead elsewhere or nowhere",
      remedy: "name images by their path inside the image folder",
    },
    "named by their path inside the folder, or left out where no such image is in it",
  ),
  naming(
    "image-spelling",
    {
      severity: "error",
      title: "file names that are spelt otherwise than on disk",
      means:
        "where letter case, Unicode form, percent-encoding or the folder differ, the file is missing on most systems",
      remedy: "write the names as they are on disk",
    },
    "written as on disk",
  ),
  naming(
    "path-separators",
    {
      severity: "warning",
      title: "file names with backslashes",
      means: "dfine takes them for separators, as Windows does; other programs find no such file",
      remedy: 'write "/" in their place',
    },
    'written with "/"',
  ),
  naming(
    "image-missing",
    {
      severity: "error",
      title: "images that are not there",
      means: "training does not begin",
      remedy: "check the image folder, bring the files there, or take the images out of the annotations",
    },
    withDropped,
  ),
  reading("image-corrupt", {
    severity: "error",
    title: "damaged images, or files that are no images",
    means: "training takes another image in their place, and stops when there are too many",
    remedy: "fetch or export them again, or take them out of the annotations",
  }),
  reading("image-format", {
    severity: "error",
    title: "images in a format that is not read",
    means: "they may be whole, but nothing here decodes them, as HEIC, BMP or a camera's raw images",
    remedy: "convert them to JPEG or PNG",
  }),
  reading("image-oversized", {
    severity: "error",
    title: "images of more pixels than are read",
    means: "they are refused before memory is taken for them",
    remedy: "scale them down, or raise the limit with --max-pixels",
  }),
  {
    kind: "image-size",
    severity: "error",
    title: "images of another size than declared",
    means: "boxes would be misplaced, so they are refused",
    remedy: "correct width and height, or use the images that the boxes were made on",
    find: inParts(function* (part) {
      for (const row of part.index.images)
        if (isOtherSize(row))
          yield {
            row,
            text: `${imageName(part, row)} is ${shown(sizesOf(row.facts)[0])}, declared as ${shown(pixelsOf(row.values))}`,
          };
        else if (!pixelsOf(row.values) && !row.facts.problem && !row.facts.naming)
          yield { row, text: `${imageName(part, row)} has no size` };
    }),
    fix: {
      does: "given the file's size, with boxes scaled where they were made on a larger or smaller copy; left out where nobody can tell",
      mend: (finding) => (sizesOf((finding.row as ImageRow).facts).length > 0 ? setSize(finding) : dropImage(finding)),
    },
  },
  {
    kind: "image-rotation",
    severity: "warning",
    title: "images that EXIF turns",
    means:
      "dfine turns them where the declared size says so; programs that do not turn them, or always, misplace the boxes",
    remedy: "save them turned, without EXIF",
    find: inParts(function* (part) {
      for (const row of part.index.images) {
        const { orientation = 1 } = row.facts;
        if (orientation > 1)
          yield { row, text: `${imageName(part, row)} has orientation ${orientation}, ${turning(row).is}` };
      }
    }),
    fix: { does: "saved as their boxes are, without EXIF", mend: settle },
  },
  {
    kind: "image-colour",
    severity: "note",
    title: "images with inks (CMYK) or 16 bits",
    means: "they are turned into 8-bit RGB: inks by a plain rule, and of 16 bits the upper 8",
    remedy: "convert them yourself where that matters",
    find: inParts(function* (part) {
      for (const row of part.index.images)
        if (row.facts.colour) yield { row, text: `${imageName(part, row)}: ${row.facts.colour}` };
    }),
  },
  {
    kind: "image-listed-twice",
    severity: "warning",
    title: "images that are listed twice in a part",
    means: "each entry counts with its own objects only, so the others' objects are background there",
    remedy: "list every file once, with all its objects",
    find: inParts(listedTwice),
    fix: {
      does: "made one, with the objects of both",
      mend: ({ part, row, put }) => {
        row!.dropped = true;
        for (const object of part.index.objectsOf.get(row as ImageRow) ?? [])
          object.row.values = { ...object.row.values, ...put };
      },
    },
  },
  {
    kind: "image-content-twice",
    severity: "warning",
    title: "files with the same bytes in one part",
    means: "one image counts twice, and its objects may differ",
    remedy: "keep one of them",
    find: inParts(function* (part) {
      for (const [row, first] of repeats(part.index.images, ({ facts }) => facts.digest))
        if (fileOf(row) !== fileOf(first)) yield { row, text: `${imageName(part, row)} is ${imageName(part, first)}` };
    }),
    fix: OUT,
  },
  {
    kind: "leak",
    severity: "error",
    title: "the same file in train and in val or test",
    means: "the model has seen the answers, so the AP is better than the model",
    remedy: "take it out of train",
    find: leaks(sameBytes),
    fix: { does: `${withDropped}, of the earlier part`, mend: dropImage },
  },
  {
    kind: "leak-similar",
    severity: "warning",
    title: "images of train that look like images of val or test",
    means: "saved again, scaled, or frames of one video: the AP is better than the model",
    remedy: "split by scene or video, and take copies out of train",
    find: leaks(alike),
  },
];
