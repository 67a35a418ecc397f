import type { CocoDataset, CocoImage } from "../data/dataset.ts";
import { ImageError } from "../data/errors.ts";
import type { RgbImage } from "../data/image.ts";
import type { Detection } from "../evaluation/detections.ts";
import type { DetectedObject } from "../result.ts";
import type { EpochEvent } from "../train/events.ts";
import { type DecodeOptions, decodeImage } from "./data/decode.ts";
import type { DatasetSplit } from "./data/loadDataYaml.ts";
import { resolveInside } from "./data/paths.ts";
import { thumbnail } from "./draw.ts";
import type { GalleryImage } from "./report/gallery.ts";
import type { ReportEpoch } from "./report/report.ts";
import { type LogLine, readEvents } from "./runLog.ts";

/** Images shown, and the longer side of each, pixels. */
const SHOWN = 12;
const SIDE = 480;
/** Detections below this score are not drawn. */
const SHOWN_SCORE = 0.4;

/** An image of the validation data as the report shows it, before anything was found in it. */
export type Sample = Omit<GalleryImage, "objects"> & { readonly imageId: number };

/** Takes images spread evenly over a data set; those that cannot be used are left out. */
export async function reportSamples(
  { dataset, imageRoot }: DatasetSplit,
  { maxPixels }: Pick<DecodeOptions, "maxPixels">,
): Promise<Sample[]> {
  const { images } = dataset;
  const count = Math.min(SHOWN, images.length);
  const picked = Array.from({ length: count }, (_, i) => images[Math.floor((i * images.length) / count)]!);
  const samples = await Promise.all(
    picked.map(async (image): Promise<Sample[]> => {
      const { id, fileName, width, height } = image;
      const pixels = await decode(imageRoot, image, maxPixels);
      if (!pixels) return [];
      const truth = (dataset.annotationsByImage.get(id) ?? []).filter(({ iscrowd }) => !iscrowd);
      return [
        {
          ...{ imageId: id, name: fileName, width, height },
          source: await thumbnail(pixels, SIDE),
          truth: truth.map(({ bbox }) => bbox),
        },
      ];
    }),
  );
  return samples.flat();
}

/** Undefined for an image that cannot be used, which the loader is to say. */
async function decode(imageRoot: string, image: CocoImage, maxPixels?: number): Promise<RgbImage | undefined> {
  try {
    return await decodeImage(await resolveInside(imageRoot, image.fileName), { frame: image, maxPixels });
  } catch (error) {
    if (error instanceof ImageError) return undefined;
    throw error;
  }
}

/** The samples with what was found in them. */
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

/** What the curves of a report show, gathered as a run goes on. */
export class ReportCurves {
  readonly steps: [step: number, loss: number][] = [];
  readonly epochs: ReportEpoch[] = [];

  /** Takes up what an earlier part of the run has logged. */
  static async read(path: string): Promise<ReportCurves> {
    const curves = new ReportCurves();
    for (const line of await readEvents(path)) curves.#add(line);
    return curves;
  }

  #add(line: LogLine): void {
    if (line.kind === "step") this.steps.push([line.step, Number(line.loss ?? Number.NaN)]);
    if (line.kind === "epoch") this.#addEpoch(line.epoch, Number(line.loss), line.stats as Stats | undefined);
  }

  step(step: number, loss: number): void {
    this.steps.push([step, loss]);
  }

  epoch({ epoch, loss, evaluation }: EpochEvent): void {
    this.#addEpoch(epoch, loss, evaluation?.result.stats);
  }

  #addEpoch(epoch: number, loss: number, stats: Stats | undefined): void {
    this.epochs.push({ epoch: epoch + 1, loss, ap: stats?.AP, ap50: stats?.AP50 });
  }
}

type Stats = { readonly AP: number; readonly AP50: number };
