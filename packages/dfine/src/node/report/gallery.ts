import { escapeUTF8 as escapeHtml } from "entities/escape";
import type { DetectedObject } from "../../result.ts";
import { classColor } from "../palette.ts";
import { name as nameHtml } from "./html.ts";

/** An object as it was annotated. */
export type AnnotatedObject = Omit<DetectedObject, "score">;

/** A rectangle in pixels of an image. */
export type Frame = Readonly<Record<"x" | "y" | "width" | "height", number>>;

/** An image of a report with the boxes to draw on it. */
export interface GalleryImage {
  readonly name: string;
  /** A data: address. */
  readonly source: string;
  /** Pixels that box coordinates count. */
  readonly width: number;
  readonly height: number;
  readonly objects: readonly DetectedObject[];
  /** What should be found; shown beside what was. */
  readonly truth?: readonly AnnotatedObject[];
  /** Part of the image that `source` is; default: all of it. */
  readonly frame?: Frame;
  /** The object that the picture is about, among `objects` or `truth`. */
  readonly focus?: DetectedObject | AnnotatedObject;
  /** What is to be said of it. */
  readonly note?: string;
}

/** Images with boxes, and below each what they are: nothing is written on a picture. `id` is the gallery's own on the page. */
export function gallery(id: string, images: readonly GalleryImage[]): string {
  return `<div class="gallery">\n${images.map((image, i) => figure(`${id}-${i}`, image)).join("\n")}\n</div>`;
}

type Shown = AnnotatedObject & { readonly score?: number };

function figure(id: string, image: GalleryImage): string {
  const { name, source, width, height, objects, truth, note } = image;
  const { x, y, ...size } = image.frame ?? { x: 0, y: 0, width, height };
  const place = `x="${px(x)}" y="${px(y)}" width="${px(size.width)}" height="${px(size.height)}"`;
  const view = `viewBox="${[x, y, size.width, size.height].map(px).join(" ")}"`;
  const panel = (title: string, list: readonly Shown[], picture: string) => {
    const marks = list.map((object, i) => box(object, `${title}${i}`, object === image.focus)).join("");
    const heading = truth ? `<div class="faint">${title}</div>` : "";
    return `<div>${heading}<svg ${view} role="img" aria-label="${escapeHtml(`${name}, ${title}`)}">${picture}${marks}</svg>${legend(list, title)}</div>`;
  };
  const picture = `<image id="${id}" href="${source}" ${place} preserveAspectRatio="none"/>`;
  const panels = truth
    ? [panel("annotated", truth, picture), panel("found", objects, `<use href="#${id}"/>`)]
    : [panel("found", objects, picture)];
  const caption = `${note === undefined ? "" : `${nameHtml(note)}<br>`}<span class="faint">${nameHtml(name)}</span>`;
  return `<figure class="${truth ? "pair" : ""}"><div class="panels">${panels.join("")}</div><figcaption>${caption}</figcaption></figure>`;
}

const fill = (classId: number): string => `rgb(${classColor(classId).join(" ")})`;
const textOf = ({ label, score }: Shown): string => (score === undefined ? label : `${label} ${score.toFixed(2)}`);

/** An outline on a dark one, so that it is seen on any picture. */
function box(object: Shown, key: string, isFocus: boolean): string {
  const { xmin, ymin, xmax, ymax } = object.box;
  const place = `x="${px(xmin)}" y="${px(ymin)}" width="${px(xmax - xmin)}" height="${px(ymax - ymin)}"`;
  return `<g class="box${isFocus ? " focus" : ""}" data-box="${key}"><title>${escapeHtml(textOf(object))}</title><rect ${place}/><rect ${place} stroke="${fill(object.classId)}"/></g>`;
}

/** The classes of a picture's boxes in their colours: how many, or where they have scores these, best first. */
function legend(list: readonly Shown[], title: string): string {
  const labels = [...new Map(list.map(({ classId, label }) => [classId, label]))];
  const chips = labels.map(([classId, label]) => {
    const scores = list.flatMap((object, i) =>
      object.classId === classId && object.score !== undefined
        ? [`<span data-box="${title}${i}">${object.score.toFixed(2)}</span>`]
        : [],
    );
    const count = list.filter((object) => object.classId === classId).length;
    const rest = scores.join(" ") || (count > 1 ? `× ${count}` : "");
    return `<span class="chip"><span class="class"><i style="background:${fill(classId)}"></i> ${nameHtml(label)}</span> <small>${rest}</small></span>`;
  });
  return `<div class="legend">${chips.join(" ") || '<span class="faint">nothing</span>'}</div>`;
}

const px = (value: number): number => Math.round(value * 100) / 100;
