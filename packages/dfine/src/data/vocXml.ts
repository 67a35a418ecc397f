import { DOMParser, type Element } from "@xmldom/xmldom";
import { VOC_CLASSES } from "../config/vocClasses.ts";
import { withoutMark } from "./byteOrderMark.ts";
import type { CocoJson } from "./cocoJson.ts";
import { DatasetError } from "./errors.ts";

/** What an annotation file of PASCAL VOC says of an image. */
export interface VocImage {
  /** Empty where the file does not say it. */
  readonly fileName: string;
  /** 0 where the file does not say it. */
  readonly width: number;
  readonly height: number;
  readonly objects: readonly VocObject[];
  /** Whoever wrote it plainly counts columns and rows from 0: Label Studio, or one that has such a column or row. */
  readonly fromZero: boolean;
}

/** An object; `box` holds the first and last column and row, counted from 1, as VOC has them. */
export interface VocObject {
  /** With blanks at its ends, unless it stands on a line of its own. */
  readonly name: string;
  /** Not to be missed: neither a target nor counted where it is not found. */
  readonly difficult: boolean;
  readonly box: readonly [xmin: number, ymin: number, xmax: number, ymax: number];
  /** The box is written with decimal points. */
  readonly decimal: boolean;
}

/** Reads an annotation file of PASCAL VOC. `file` names it in messages. @throws DatasetError */
export function parseVocXml(text: string, file: string): VocImage {
  const root = rootOf(text, file);
  const at = "annotation";
  if (root.nodeName !== at) throw new DatasetError(file, `is XML of <${root.nodeName}>, not of <annotation>`, WANTED);
  const objects = children(root, "object").map((object, i) => readObject(object, { file, at: `object ${i + 1}` }));
  const [size] = children(root, "size");
  const side = (name: string) => (size && textOf(size, name) ? number(size, name, { file, at }) : 0);
  const [owner] = children(root, "owner");
  const fromZero =
    (owner !== undefined && textOf(owner, "name") === "Label Studio") ||
    objects.some(({ box: [left, top] }) => left <= 0 || top <= 0);
  return {
    ...{ fileName: textOf(root, "filename") ?? "", width: side("width"), height: side("height") },
    ...{ objects, fromZero },
  };
}

const WANTED = "Give annotation files of PASCAL VOC, one for each image.";

interface Place {
  readonly file: string;
  readonly at: string;
}

/** Elements inside each other that annotations may have: VOC has five. */
const DEEPEST = 100;
/** What may stand in angle brackets, with the slashes of closing and of empty elements. */
const MARKUP = /<!--[\s\S]*?(?:-->|$)|<!\[CDATA\[[\s\S]*?(?:\]\]>|$)|<(\/?)[^<>!?/][^<>]*?(\/?)>/g;

/** Whether elements lie deeper in each other than annotations need, which the parser would take minutes for. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  for (const [, closing, empty] of text.matchAll(MARKUP)) {
    if (closing === undefined || empty === "/") continue;
    depth += closing === "/" ? -1 : 1;
    if (depth > DEEPEST) return true;
  }
  return false;
}

/** The outermost element of an XML text. @throws DatasetError naming the line */
function rootOf(text: string, file: string): Element {
  if (isTooDeep(text)) throw new DatasetError(file, `has more than ${DEEPEST} elements inside each other`, WANTED);
  let [problem, line] = ["", 0];
  try {
    const parser = new DOMParser({
      onError(level, message, context: { locator?: { lineNumber?: number } } | undefined) {
        if (level === "warning" || problem !== "") return;
        [problem, line] = [message, context?.locator?.lineNumber ?? 0];
        throw new Error(message);
      },
    });
    const root = parser.parseFromString(withoutMark(text), "text/xml").documentElement;
    if (root) return root;
  } catch (error) {
    problem ||= (error as Error).message;
  }
  const where = line > 0 ? `line ${line}: ` : "";
  throw new DatasetError(file, `is not valid XML (${where}${problem || "nothing in it"})`, WANTED);
}

const children = (parent: Element, name: string): Element[] =>
  Array.from(parent.childNodes).filter((node): node is Element => node.nodeType === 1 && node.nodeName === name);

/** The text of a child of that name; undefined where there is none, or nothing in it. */
const textOf = (parent: Element, name: string): string | undefined =>
  children(parent, name)[0]?.textContent?.trim() || undefined;

// Parts of people have names and boxes of their own, one level further in.
function readObject(object: Element, place: Place): VocObject {
  const [box] = children(object, "bndbox");
  if (!box) throw new DatasetError(place.file, `${place.at} has no bndbox`, WANTED);
  const side = (name: string) => number(box, name, place);
  return {
    name: nameOf(object, place),
    difficult: textOf(object, "difficult") === "1",
    box: [side("xmin"), side("ymin"), side("xmax"), side("ymax")],
    decimal: box.textContent?.includes(".") ?? false,
  };
}

function nameOf(object: Element, place: Place): string {
  const trimmed = value(object, "name", place);
  const given = children(object, "name")[0]!.textContent ?? "";
  return given.includes("\n") ? trimmed : given;
}

function value(parent: Element, name: string, { file, at }: Place): string {
  const found = textOf(parent, name);
  if (found) return found;
  throw new DatasetError(file, `${at} has no ${name}`, WANTED);
}

function number(parent: Element, name: string, place: Place): number {
  const given = value(parent, name, place);
  const found = Number(given);
  if (Number.isFinite(found)) return found;
  throw new DatasetError(place.file, `${place.at} has ${given} as ${name}, not a number`, "Mend this file.");
}

/** Whether corners are counted from 0, as labelling tools do, and not from 1 as VOC does: plainly so, or with decimals in most boxes. */
export function countsFromZero(images: readonly VocImage[]): boolean {
  const objects = images.flatMap((image) => image.objects);
  return (
    images.some(({ fromZero }) => fromZero) || 2 * objects.filter(({ decimal }) => decimal).length > objects.length
  );
}

/** How `vocToCoco` reads. */
export interface VocToCocoOptions {
  /** Classes in their order. Default VOC's, where all names are among them, otherwise the names that there are, sorted. */
  readonly classes?: readonly string[];
  /** Corners are counted from 0, and right and lower ones lie outside the box. Default false: as VOC has them. */
  readonly fromZero?: boolean;
}

/** COCO annotations of the same: ids from 1, difficult objects as crowds. */
export function vocToCoco(
  images: readonly VocImage[],
  { classes = usualClasses(images), fromZero = false }: VocToCocoOptions = {},
): CocoJson {
  const ids = new Map(classes.map((name, i) => [name, i + 1]));
  const objects = images.flatMap((image, i) => image.objects.map((object) => ({ ...object, image_id: i + 1 })));
  const one = fromZero ? 0 : 1;
  return {
    images: images.map(({ fileName, width, height }, i) => ({ id: i + 1, file_name: fileName, width, height })),
    categories: classes.map((name, i) => ({ id: i + 1, name })),
    annotations: objects.map(({ name, difficult, box, image_id }, i) => {
      const [x1, y1, x2, y2] = box;
      const bbox = [x1 - one, y1 - one, x2 - x1 + one, y2 - y1 + one];
      const area = bbox[2]! * bbox[3]!;
      return {
        id: i + 1,
        image_id,
        category_id: (ids.get(name) ?? ids.get(name.trim()))!,
        bbox,
        area,
        iscrowd: difficult ? 1 : 0,
      };
    }),
  };
}

/** The names of all objects, sorted; without blanks at their ends, which mostly are a slip, unless they are `listed` so. */
export const vocNames = (images: readonly VocImage[], listed: readonly string[] = []): string[] =>
  [
    ...new Set(
      images.flatMap(({ objects }) => objects.map(({ name }) => (listed.includes(name) ? name : name.trim()))),
    ),
  ].sort();

function usualClasses(images: readonly VocImage[]): readonly string[] {
  const names = vocNames(images);
  return names.every((name) => VOC_CLASSES.includes(name)) ? VOC_CLASSES : names;
}
