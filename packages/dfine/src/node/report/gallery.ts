import { escapeUTF8 as escapeHtml } from "entities/escape";
import type { DetectedObject } from "../../result.ts";
import { classColor } from "../palette.ts";

/** An image of a report with the boxes to draw on it. */
export interface GalleryImage {
  readonly name: string;
  /** A data: address. */
  readonly source: string;
  /** Pixels that box coordinates count. */
  readonly width: number;
  readonly height: number;
  readonly objects: readonly DetectedObject[];
  /** Boxes that should be found, [x, y, width, height]; drawn dashed. */
  readonly truth?: readonly (readonly [number, number, number, number])[];
}

/** Images with boxes as SVG over them. */
export function gallery(images: readonly GalleryImage[]): string {
  return `<div class="gallery">\n${images.map(figure).join("\n")}\n</div>`;
}

function figure({ name, source, width, height, objects, truth = [] }: GalleryImage): string {
  const unit = Math.max(width, height) / 300;
  const found = objects.map((object) => detection(object, unit)).join("");
  const dashed = `stroke="#fff" stroke-opacity=".8" stroke-width="${px(unit)}" stroke-dasharray="${px(3 * unit)}"`;
  const wanted = truth.map((box) => rectangle(box, dashed)).join("");
  return `<figure><svg viewBox="0 0 ${width} ${height}"><image href="${source}" width="${width}" height="${height}"/>${wanted}${found}</svg><figcaption>${escapeHtml(name)}</figcaption></figure>`;
}

function detection({ label, classId, score, box }: DetectedObject, unit: number): string {
  const { xmin, ymin, xmax, ymax } = box;
  const fill = `rgb(${classColor(classId).join(" ")})`;
  const text = `${label} ${score.toFixed(2)}`;
  const size = 11 * unit;
  const above = ymin > size ? ymin : ymin + size;
  return (
    rectangle([xmin, ymin, xmax - xmin, ymax - ymin], `stroke="${fill}" stroke-width="${px(1.5 * unit)}"`) +
    `<text x="${px(xmin)}" y="${px(above - 2 * unit)}" font-size="${px(size)}" fill="${fill}" stroke="#000" stroke-width="${px(2.5 * unit)}" stroke-linejoin="round" paint-order="stroke" font-family="sans-serif">${escapeHtml(text)}</text>`
  );
}

const rectangle = ([x, y, width, height]: readonly [number, number, number, number], stroke: string): string =>
  `<rect x="${px(x)}" y="${px(y)}" width="${px(width)}" height="${px(height)}" fill="none" ${stroke}/>`;

const px = (value: number): number => Math.round(value * 100) / 100;
