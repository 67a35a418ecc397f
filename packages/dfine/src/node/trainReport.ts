import type { CocoAnnotation, CocoDataset, CocoImage } from "../data/dataset.ts";
import { ImageError } from "../data/errors.ts";
import type { Detection } from "../evaluation/detections.ts";
import type { DetectedObject } from "../result.ts";
import type { DatasetSplit } from "./data/datasetParts.ts";
import { type DecodeOptions, decodeImage } from "./data/decode.ts";
import { resolveInside } from "./data/paths.ts";
import { thumbnail } from "./draw.ts";
import type { AnnotatedObject, GalleryImage } from "./report/gallery.ts";
import type { ReportEpoch } from "./report/reportData.ts";
import { StepCurves } from "./report/stepCurves.ts";
import type { LogLine } from "./runLog.ts";

/** Images shown, and the longer side of each, pixels. */
const SHOWN = 12;
const SIDE = 480;

/** An image of the validation data as the report shows it, before anything was found in it. */
export type Sample = Omit<GalleryImage, "objects"> & { readonly imageId: number };

/** Takes images spread evenly over a data set; those that cannot be used, as the loader is to say, are left out. */
export async function reportSamples(
  split: DatasetSplit,
  { maxPixels }: Pick<DecodeOptions, "maxPixels">,
): Promise<Sample[]> {
  const { images, annotationsByImage } = split.dataset;
  const count = Math.min(SHOWN, images.length);
  const picked = Array.from({ length: count }, (_, i) => images[Math.floor((i * images.length) / count)]!);
  const sample = async (image: CocoImage): Promise<Sample[]> => {
    const { id, fileName, width, height } = image;
    const pixels = await usablePixels(split, image, maxPixels);
    if (!pixels) return [];
    const objects = annotationsByImage.get(id)!.filter(({ iscrowd }) => !iscrowd);
    const truth = objects.map((object) => toAnnotated(object, split.dataset));
    return [{ ...{ imageId: id, name: fileName, width, height, truth }, source: await thumbnail(pixels, SIDE) }];
  };
  return (await Promise.all(picked.map(sample))).flat();
}

/** An image of a data set; undefined where it cannot be used, as the loader is to say. */
export async function usablePixels({ imageRoot }: DatasetSplit, image: CocoImage, maxPixels: number | undefined) {
  try {
    return await decodeImage(await resolveInside(imageRoot, image.fileName), { frame: image, maxPixels });
  } catch (error) {
    if (error instanceof ImageError) return undefined;
    throw error;
  }
}

/** Samples with what was found in them at scores from `threshold` on. */
export function samplesWithDetections(
  samples: readonly Sample[],
  found: { readonly detections: readonly Detection[]; readonly threshold: number },
  dataset: CocoDataset,
): GalleryImage[] {
  return samples.map(({ imageId, ...sample }) => ({
    ...sample,
    objects: found.detections
      .filter((one) => one.imageId === imageId && one.score >= found.threshold)
      .map((one) => toObject(one, dataset)),
  }));
}

type Boxed = Pick<CocoAnnotation, "categoryId" | "bbox">;

/** An annotation as the report draws it. */
export function toAnnotated({ categoryId, bbox }: Boxed, { labels, categories }: CocoDataset): AnnotatedObject {
  const classId = labels.get(categoryId) ?? 0;
  const [x, y, width, height] = bbox;
  const box = { xmin: x, ymin: y, xmax: x + width, ymax: y + height };
  return { label: categories[classId]?.name ?? String(categoryId), classId, box };
}

/** A detection as the report draws it. */
export const toObject = ({ score, ...found }: Detection, dataset: CocoDataset): DetectedObject => ({
  ...toAnnotated(found, dataset),
  score,
});

export interface ReportCurves {
  readonly steps: StepCurves;
  readonly epochs: ReportEpoch[];
}

export const emptyCurves = (): ReportCurves => ({ steps: new StepCurves(), epochs: [] });

export function addToCurves({ steps, epochs }: ReportCurves, line: LogLine): void {
  const { kind, epoch, step, loss, learningRate, gradientNorm, losses, stats } = line;
  if (kind === "step") steps.add(step, { loss, learningRate, gradientNorm, ...(losses as object) });
  if (kind === "epoch") epochs.push({ epoch, loss: Number(loss), stats: stats as ReportEpoch["stats"] | undefined });
}
