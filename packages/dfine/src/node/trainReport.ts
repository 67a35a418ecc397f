import type { CocoDataset, CocoImage } from "../data/dataset.ts";
import { ImageError } from "../data/errors.ts";
import type { Detection } from "../evaluation/detections.ts";
import type { DetectedObject } from "../result.ts";
import type { DatasetSplit } from "./data/datasetParts.ts";
import { type DecodeOptions, decodeImage } from "./data/decode.ts";
import { resolveInside } from "./data/paths.ts";
import { thumbnail } from "./draw.ts";
import type { GalleryImage } from "./report/gallery.ts";
import type { ReportEpoch } from "./report/report.ts";
import type { LogLine } from "./runLog.ts";

/** Images shown, and the longer side of each, pixels. */
const SHOWN = 12;
const SIDE = 480;
/** Detections below this score are not drawn. */
const SHOWN_SCORE = 0.4;

/** An image of the validation data as the report shows it, before anything was found in it. */
export type Sample = Omit<GalleryImage, "objects"> & { readonly imageId: number };

/** Takes images spread evenly over a data set; those that cannot be used, as the loader is to say, are left out. */
export async function reportSamples(
  { dataset, imageRoot }: DatasetSplit,
  { maxPixels }: Pick<DecodeOptions, "maxPixels">,
): Promise<Sample[]> {
  const { images, annotationsByImage } = dataset;
  const count = Math.min(SHOWN, images.length);
  const picked = Array.from({ length: count }, (_, i) => images[Math.floor((i * images.length) / count)]!);
  const sample = async (image: CocoImage): Promise<Sample[]> => {
    const { id, fileName, width, height } = image;
    try {
      const pixels = await decodeImage(await resolveInside(imageRoot, fileName), { frame: image, maxPixels });
      const truth = annotationsByImage.get(id)!.flatMap(({ iscrowd, bbox }) => (iscrowd ? [] : [bbox]));
      return [{ ...{ imageId: id, name: fileName, width, height, truth }, source: await thumbnail(pixels, SIDE) }];
    } catch (error) {
      if (error instanceof ImageError) return [];
      throw error;
    }
  };
  return (await Promise.all(picked.map(sample))).flat();
}

export function samplesWithDetections(
  samples: readonly Sample[],
  detections: readonly Detection[],
  dataset: CocoDataset,
): GalleryImage[] {
  return samples.map(({ imageId, ...sample }) => ({
    ...sample,
    objects: detections
      .filter((found) => found.imageId === imageId && found.score >= SHOWN_SCORE)
      .map((found) => toObject(found, dataset)),
  }));
}

function toObject({ categoryId, score, bbox }: Detection, { labels, categories }: CocoDataset): DetectedObject {
  const classId = labels.get(categoryId) ?? 0;
  const [x, y, width, height] = bbox;
  const box = { xmin: x, ymin: y, xmax: x + width, ymax: y + height };
  return { label: categories[classId]?.name ?? String(categoryId), classId, score, box };
}

export interface ReportCurves {
  readonly steps: [step: number, loss: number][];
  readonly epochs: ReportEpoch[];
}

export function addToCurves({ steps, epochs }: ReportCurves, { kind, epoch, step, loss, stats }: LogLine): void {
  if (kind === "step") steps.push([step, Number(loss ?? Number.NaN)]);
  const { AP: ap, AP50: ap50 } = (stats ?? {}) as { readonly AP?: number; readonly AP50?: number };
  if (kind === "epoch") epochs.push({ epoch: epoch + 1, loss: Number(loss), ap, ap50 });
}
