import type { CocoDataset } from "./coco.ts";
import { trainingTargets } from "./targets.ts";

/** Counts over a whole data set, as a trainer says them before the first step. */
export interface DatasetSummary {
  readonly images: number;
  /** Targets that training will see. */
  readonly boxes: number;
  readonly imagesWithoutBoxes: number;
  readonly clipped: number;
  readonly dropped: number;
  readonly crowd: number;
  /** Category names without a single target. */
  readonly emptyCategories: readonly string[];
  /** One sentence for everything that was mended or looks odd; empty for a clean data set. */
  readonly notes: readonly string[];
}

/** Counts a data set's targets and says what was mapped, cut or left out. */
export function summarizeDataset(dataset: CocoDataset): DatasetSummary {
  const perLabel = new Float64Array(dataset.categories.length);
  let boxes = 0;
  let imagesWithoutBoxes = 0;
  let clipped = 0;
  let dropped = 0;
  let crowd = 0;
  for (const image of dataset.images) {
    const targets = trainingTargets(dataset, image);
    boxes += targets.labels.length;
    if (targets.labels.length === 0) imagesWithoutBoxes++;
    clipped += targets.clipped;
    dropped += targets.dropped;
    crowd += targets.crowd;
    for (const label of targets.labels) perLabel[label]! += 1;
  }
  const emptyCategories = dataset.categories.filter((_, label) => perLabel[label] === 0).map(({ name }) => name);
  const { categories, remapped } = dataset;
  const ids =
    categories.length > 4 ? `${categories[0]!.id}–${categories.at(-1)!.id}` : categories.map(({ id }) => id).join(", ");
  const notes = [
    remapped && `category ids ${ids} are mapped to labels 0–${categories.length - 1}`,
    clipped > 0 && `${counted(clipped, "box", "boxes")} beyond the image, cut at its edge`,
    dropped > 0 && `${counted(dropped, "box", "boxes")} without area inside the image, left out`,
    crowd > 0 && `${counted(crowd, "crowd region", "crowd regions")}, no targets`,
    imagesWithoutBoxes > 0 &&
      `${imagesWithoutBoxes} of ${counted(dataset.images.length, "image", "images")} without boxes`,
    emptyCategories.length > 0 &&
      `no boxes of ${counted(emptyCategories.length, "category", "categories")} (${emptyCategories.slice(0, 5).join(", ")}${emptyCategories.length > 5 ? ", …" : ""})`,
  ].filter((note) => note !== false);
  return { images: dataset.images.length, boxes, imagesWithoutBoxes, clipped, dropped, crowd, emptyCategories, notes };
}

function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
