import { decodeXML } from "entities";
import { VOC_CLASSES } from "../config/voc.ts";
import type { CocoJson } from "./cocoJson.ts";
import { DatasetError } from "./errors.ts";

/** What an annotation file of PASCAL VOC says of an image. */
export interface VocImage {
  readonly fileName: string;
  readonly width: number;
  readonly height: number;
  readonly objects: readonly VocObject[];
}

/** An object; `box` holds the first and last column and row, counted from 1, as VOC has them. */
export interface VocObject {
  readonly name: string;
  /** Not to be missed: neither a target nor counted where it is not found. */
  readonly difficult: boolean;
  readonly box: readonly [xmin: number, ymin: number, xmax: number, ymax: number];
}

/** Reads an annotation file of PASCAL VOC. `file` names it in messages. @throws DatasetError */
export function parseVocXml(text: string, file: string): VocImage {
  const plain = text.replace(/<!--[\s\S]*?-->/g, "");
  // Parts of people have names and boxes of their own.
  const objects = [...plain.matchAll(/<object>([\s\S]*?)<\/object>/g)].map(([, inner], i) => {
    const own = inner!.replace(/<part>[\s\S]*?<\/part>/g, "");
    const at = `object ${i + 1}`;
    const side = (name: string) => number(own, name, { file, at });
    const box = [side("xmin"), side("ymin"), side("xmax"), side("ymax")] as const;
    return { name: value(own, "name", { file, at }), difficult: /<difficult>\s*1\s*<\/difficult>/.test(own), box };
  });
  const head = plain.replace(/<object>[\s\S]*?<\/object>/g, "");
  const at = "annotation";
  const side = (name: string) => number(head, name, { file, at });
  return { fileName: value(head, "filename", { file, at }), width: side("width"), height: side("height"), objects };
}

interface Place {
  readonly file: string;
  readonly at: string;
}

function value(text: string, name: string, { file, at }: Place): string {
  const found = new RegExp(`<${name}>\\s*([^<]*?)\\s*</${name}>`).exec(text)?.[1];
  if (found) return decodeXML(found);
  throw new DatasetError(file, `${at} has no ${name}`, "Give annotation files of PASCAL VOC, one for each image.");
}

function number(text: string, name: string, place: Place): number {
  const given = value(text, name, place);
  const found = Number(given);
  if (Number.isFinite(found)) return found;
  throw new DatasetError(place.file, `${place.at} has ${given} as ${name}, not a number`, "Mend this file.");
}

/** COCO annotations of the same: ids from 1, VOC's classes (or those that there are, by name), difficult ones as crowds. */
export function vocToCoco(images: readonly VocImage[]): CocoJson {
  const names = [...new Set(images.flatMap(({ objects }) => objects.map(({ name }) => name)))].sort();
  const classes = names.every((name) => VOC_CLASSES.includes(name)) ? VOC_CLASSES : names;
  const ids = new Map(classes.map((name, i) => [name, i + 1]));
  const objects = images.flatMap((image, i) => image.objects.map((object) => ({ ...object, image_id: i + 1 })));
  return {
    images: images.map(({ fileName, width, height }, i) => ({ id: i + 1, file_name: fileName, width, height })),
    categories: classes.map((name, i) => ({ id: i + 1, name })),
    annotations: objects.map(({ name, difficult, box, image_id }, i) => {
      const [x1, y1, x2, y2] = box;
      const bbox = [x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1];
      const area = bbox[2]! * bbox[3]!;
      return { id: i + 1, image_id, category_id: ids.get(name)!, bbox, area, iscrowd: difficult ? 1 : 0 };
    }),
  };
}
