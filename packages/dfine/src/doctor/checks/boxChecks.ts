import type { Check } from "../check.ts";

import { type ObjectRow, type Odd, pixelsOf } from "../survey.ts";
import type { Survey } from "../surveyPart.ts";
import { boxText, drop, imageName, inParts, objectName, repeats, setCorners } from "./common.ts";

type Rest = Omit<Check, "kind" | "find" | "fix">;

/** A check that finds the boxes that were judged so, and corrects or drops them. */
const odd = (kind: Odd["kind"], rest: Rest, does: string): Check => ({
  ...{ kind, ...rest },
  find: inParts(function* (part) {
    for (const object of part.index.objects) {
      if (object.odd?.kind !== kind) continue;
      const { reading, corners } = object.odd;
      const read = reading ? ` is ${reading.name}` : "";
      yield { row: object.row, put: { corners }, text: `${objectName(part, object)}: ${boxText(object)}${read}` };
    }
  }),
  fix: {
    does,
    mend: (finding) => {
      const { corners } = finding.put as Pick<Odd, "corners">;
      if (corners) setCorners(finding.row!, corners);
      else drop(finding);
    },
  },
});

/** Longer side of a box, pixels of the network's input; undefined where that cannot be said. */
function sideAtInput({ box, image, odd }: ObjectRow, { size: [height, width] }: Survey): number | undefined {
  const frame = image && pixelsOf(image.values);
  if (!box || !frame || odd) return undefined;
  return Math.max((box[2] * width) / frame.width, (box[3] * height) / frame.height);
}

/** Boxes of objects. Each box is counted under the first kind that fits. */
export const BOX_CHECKS: readonly Check[] = [
  odd(
    "boxes-not-numbers",
    {
      severity: "error",
      title: "boxes that are not four numbers: NaN, null or missing",
      means: "they are refused",
      remedy: "draw them again, or remove them",
    },
    "dropped",
  ),
  odd(
    "boxes-pixels",
    {
      severity: "error",
      title: "YOLO labels in pixels",
      means: "YOLO's boxes are fractions of the image, so these are refused",
      remedy: "divide them by the image's width and height",
    },
    "taken as pixels",
  ),
  odd(
    "boxes-fractions",
    {
      severity: "error",
      title: "boxes as fractions of the image",
      means: "COCO boxes are in pixels, so these would be specks in a corner",
      remedy: "multiply them by the image's width and height",
    },
    "turned into pixels",
  ),
  odd(
    "boxes-corners",
    {
      severity: "error",
      title: "boxes as two corners or as a centre",
      means: "COCO boxes are [x, y, width, height]: read so, many leave their images, but read otherwise they fit",
      remedy: "write x2 - x1 and y2 - y1 as the last two, or subtract half of width and height from a centre",
    },
    "turned into [x, y, width, height]",
  ),
  odd(
    "boxes-degenerate",
    {
      severity: "warning",
      title: "boxes without area: sides of zero, or negative",
      means: "nothing can be learned from them, so training leaves them out",
      remedy: "draw them again, or remove them",
    },
    "dropped",
  ),
  odd(
    "boxes-outside",
    {
      severity: "warning",
      title: "boxes that lie wholly outside their image",
      means: "training leaves them out; often the image had another size when it was labelled",
      remedy: "draw them again, or remove them",
    },
    "dropped",
  ),
  odd(
    "boxes-beyond",
    {
      severity: "warning",
      title: "boxes that reach beyond their image",
      means: "training cuts them at the edge; evaluation takes them as they are",
      remedy: "cut them at the edge",
    },
    "cut at the edge",
  ),
  {
    kind: "objects-repeated",
    severity: "warning",
    title: "objects that are there twice: the same image, class and box",
    means: "a model must find one object twice, and half of it counts as missed",
    remedy: "remove the second of each",
    find: inParts(function* (part) {
      for (const objects of part.index.objectsOf.values()) {
        if (objects.length < 2) continue;
        const key = ({ row: { values }, box }: ObjectRow) => box && `${values.category_id} ${values.iscrowd} ${box}`;
        for (const [object] of repeats(objects, key))
          yield { row: object.row, text: `${objectName(part, object)}: ${boxText(object)}` };
      }
    }),
    fix: { does: "dropped", mend: drop },
  },
  {
    kind: "objects-small",
    severity: "note",
    title: "objects smaller than the network's finest cell at the training size",
    means: "under one cell (16 pixels for n, 8 for the others) an object leaves next to no trace on the maps",
    remedy: "train with a larger --size, on parts of the images, or with a model other than n",
    find: inParts(function* (part, survey) {
      for (const object of part.index.objects) {
        const side = sideAtInput(object, survey);
        if (side === undefined || side >= survey.stride) continue;
        yield {
          row: object.row,
          text: `${objectName(part, object)}: ${boxText(object)}, ${side.toFixed(1)} pixels at ${survey.size.join("x")}`,
        };
      }
    }),
  },
  {
    kind: "images-crowded",
    severity: "note",
    title: "images with more objects than the model has queries",
    means: "not all of them can be found",
    remedy: "train with more (model.decoder.numQueries), or on parts of the images",
    find: inParts(function* (part, { queries }) {
      for (const [row, objects] of part.index.objectsOf)
        if (objects.length > queries)
          yield { row, text: `${imageName(part, row)}: ${objects.length} objects, ${queries} queries` };
    }),
  },
  {
    kind: "images-empty",
    severity: "note",
    title: "images without objects",
    means: "they teach what is background; if their objects were forgotten, a model learns not to find such objects",
    remedy: "make sure that there is nothing to find in them",
    find: inParts(function* (part) {
      // Of images that share an id nobody knows whose the objects are.
      for (const [row, objects] of part.index.objectsOf)
        if (objects.length === 0 && part.index.imageOf.get(row.values.id) === row)
          yield { row, text: imageName(part, row) };
    }),
  },
];
