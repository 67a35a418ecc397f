import { escapeUTF8 as escapeXml } from "entities/escape";
import { withoutMark } from "./byteOrderMark.ts";
import type { CocoAnnotation, CocoImage } from "./dataset.ts";

/** A box [x, y, width, height] as VOC counts: whole columns and rows from 1 to the last, cut at the image's edge. */
export function vocBox([x, y, w, h]: CocoAnnotation["bbox"], { width, height }: CocoImage): number[] | undefined {
  const [left, top] = [Math.max(1, Math.round(x) + 1), Math.max(1, Math.round(y) + 1)];
  const [right, bottom] = [Math.min(width, Math.round(x + w)), Math.min(height, Math.round(y + h))];
  if (x >= width || y >= height || x + w <= 0 || y + h <= 0) return undefined;
  return [Math.min(left, width), Math.min(top, height), Math.max(left, right), Math.max(top, bottom)];
}

/** An annotation file of PASCAL VOC. `file` is the image's, `objects` those whose box is inside the image. */
export function vocXml(
  file: string,
  image: CocoImage,
  objects: readonly { readonly name: string; readonly difficult: boolean; readonly box: readonly number[] }[],
): string {
  const { width, height } = image;
  const lines = objects.map(({ name, difficult, box }) => {
    const sides = ["xmin", "ymin", "xmax", "ymax"].map((side, i) => `<${side}>${box[i]}</${side}>`).join("");
    const flags = `<pose>Unspecified</pose><truncated>0</truncated><difficult>${difficult ? 1 : 0}</difficult>`;
    return `  <object><name>${escapeXml(name)}</name>${flags}<bndbox>${sides}</bndbox></object>\n`;
  });
  const size = `<size><width>${width}</width><height>${height}</height><depth>3</depth></size>`;
  const head = `  <folder>JPEGImages</folder>\n  <filename>${escapeXml(file)}</filename>\n  ${size}\n`;
  return `<annotation>\n${head}  <segmented>0</segmented>\n${lines.join("")}</annotation>\n`;
}

const HEADING = "# label:color_rgb:parts:actions";

/** The classes in their order, as CVAT keeps them beside VOC (labelmap.txt). */
export const labelMapText = (classes: readonly string[]): string =>
  `${[HEADING, ...classes.map((name) => `${name}:::`)].join("\n")}\n`;

/** Reads a labelmap.txt. The background of masks is no class. */
export const parseLabelMap = (text: string): string[] =>
  withoutMark(text)
    .split(/\r?\n/)
    .flatMap((line) => {
      if (line.trim() === "" || line.startsWith("# label")) return [];
      const name = line.replace(/(:[^:]*){3}$/, "");
      return name === "background" ? [] : [name];
    });

/** The names of a list of images in ImageSets/Main, without the 1 or -1 that lists of one class have. */
export const parseImageSet = (text: string): string[] =>
  text.split(/\r?\n/).flatMap((line) => {
    const name = line
      .trim()
      .replace(/\s+-?[01]$/, "")
      .replace(/^"(.*)"$/, "$1");
    return name === "" ? [] : [name];
  });

/** A list of images, in quotes where a name has spaces. */
export const imageSetText = (names: readonly string[]): string =>
  names.map((name) => (/\s/.test(name) ? `"${name}"\n` : `${name}\n`)).join("");
