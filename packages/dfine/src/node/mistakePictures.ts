import type { CocoDataset } from "../data/dataset.ts";
import type { Detection } from "../evaluation/detections.ts";
import type { FalseNegative, FalsePositive, Mistakes } from "../evaluation/mistakes.ts";
import type { DatasetSplit } from "./data/datasetParts.ts";
import type { DecodeOptions } from "./data/decode.ts";
import { thumbnail } from "./draw.ts";
import type { Frame, GalleryImage } from "./report/gallery.ts";
import type { ReportData } from "./report/reportData.ts";
import { toAnnotated, toObject, usablePixels } from "./trainReport.ts";

/** Pictures of either kind, and the longer side of each, pixels. */
const SHOWN = 9;
const SIDE = 320;
/** Around the objects that a picture is about: a share of their longer side, and pixels. */
const MARGIN = { share: 0.6, pixels: 16 };

type Box = Detection["bbox"];

/** The worst mistakes, cut out of their images: what is annotated there, and what was found. */
export async function mistakePictures(
  split: DatasetSplit,
  found: { readonly detections: readonly Detection[]; readonly mistakes: Mistakes },
  { maxPixels }: Pick<DecodeOptions, "maxPixels">,
): Promise<NonNullable<ReportData["mistakes"]>> {
  const { dataset } = split;
  const counted = found.detections.filter(({ score }) => score >= found.mistakes.threshold);
  const picture = async (imageId: number, about: Focus): Promise<GalleryImage[]> => {
    const image = dataset.images.find(({ id }) => id === imageId)!;
    const pixels = await usablePixels(split, image, maxPixels);
    if (!pixels) return [];
    const frame = frameOf(about.boxes, image);
    const truth = (dataset.annotationsByImage.get(imageId) ?? []).filter(
      ({ iscrowd, bbox }) => !iscrowd && isSeen(bbox, frame),
    );
    const here = counted.filter((one) => one.imageId === imageId && isSeen(one.bbox, frame));
    const annotated = truth.map((object) => toAnnotated(object, dataset));
    const objects = here.map((one) => toObject(one, dataset));
    const isFocus = ({ bbox }: { readonly bbox: Box }) => bbox === about.boxes[0];
    const focus = about.isFound ? objects[here.findIndex(isFocus)]! : annotated[truth.findIndex(isFocus)]!;
    return [
      {
        ...{ name: image.fileName, width: image.width, height: image.height, truth: annotated, objects, frame },
        ...{ note: about.note(focus.label), focus },
        source: await thumbnail(pixels, SIDE, frame),
      },
    ];
  };
  const { falsePositives, falseNegatives } = found.mistakes;
  const pictures = { falsePositives: [] as GalleryImage[], falseNegatives: [] as GalleryImage[] };
  // One after the other: images may be large.
  for (const one of falsePositives.slice(0, SHOWN))
    pictures.falsePositives.push(...(await picture(one.detection.imageId, falsePositive(one, dataset))));
  for (const one of falseNegatives.slice(0, SHOWN))
    pictures.falseNegatives.push(...(await picture(one.imageId, falseNegative(one))));
  return pictures;
}

/** What a picture is about: the box in question, then another that belongs to it. */
interface Focus {
  readonly boxes: readonly Box[];
  /** Whether the first box was found, or is annotated. */
  readonly isFound: boolean;
  /** What is to be said, with the name of its class. */
  readonly note: (label: string) => string;
}

function falsePositive({ kind, detection, object }: FalsePositive, dataset: CocoDataset): Focus {
  const reasons: Record<typeof kind, string> = {
    duplicate: "a second box on one object",
    "wrong class": `annotated as ${object ? toAnnotated(object, dataset).label : "another class"}`,
    "poorly placed": "poorly placed",
    background: "nothing like it is annotated here",
  };
  const boxes = [detection.bbox, ...(object ? [object.bbox] : [])];
  return { boxes, isFound: true, note: (label) => `${label} ${detection.score.toFixed(2)}: ${reasons[kind]}` };
}

function falseNegative({ kind, object, score }: FalseNegative): Focus {
  const reasons: Record<typeof kind, string> = {
    "wrong class": "found as another class",
    "poorly placed": "the box near it is poorly placed",
    "low score": `found with a score of ${score.toFixed(2)} only`,
    nothing: "nothing is found on it",
  };
  return {
    boxes: [object.bbox],
    isFound: false,
    note: (label) => `${label} missed: ${reasons[kind]}`,
  };
}

/** Whole pixels around boxes, inside the image. */
function frameOf(boxes: readonly Box[], image: Pick<Frame, "width" | "height">): Frame {
  const low = (axis: 0 | 1) => Math.min(...boxes.map((box) => box[axis]));
  const high = (axis: 0 | 1) => Math.max(...boxes.map((box) => box[axis] + box[axis + 2]!));
  const margin = MARGIN.pixels + MARGIN.share * Math.max(high(0) - low(0), high(1) - low(1));
  const cut = (value: number, limit: number) => Math.min(Math.max(Math.round(value), 0), limit);
  const x = cut(low(0) - margin, image.width - 1);
  const y = cut(low(1) - margin, image.height - 1);
  return {
    ...{ x, y },
    width: Math.max(1, cut(high(0) + margin, image.width) - x),
    height: Math.max(1, cut(high(1) + margin, image.height) - y),
  };
}

const isSeen = ([x, y, width, height]: Box, frame: Frame): boolean =>
  x < frame.x + frame.width && x + width > frame.x && y < frame.y + frame.height && y + height > frame.y;
