import type { CocoDataset } from "./dataset.ts";
import { type TrainingTargetsOptions, trainingTargets } from "./targets.ts";

/** Counts over a whole data set, as a trainer says them before the first step. */
export interface DatasetSummary {
  readonly images: number;
  /** Targets that training will see. */
  readonly boxes: number;
  readonly imagesWithoutBoxes: number;
  readonly clipped: number;
  readonly dropped: number;
  /** Under one pixel at the network's input size, where that is given. */
  readonly tiny: number;
  readonly crowd: number;
  /** Category names without a single target. */
  readonly emptyCategories: readonly string[];
  /** One sentence for everything that was mended or looks odd; empty for a clean data set. */
  readonly notes: readonly string[];
}

/** Counts a data set's targets and says what was mapped, cut or left out. */
export function summarizeDataset(dataset: CocoDataset, options: TrainingTargetsOptions = {}): DatasetSummary {
  const perLabel = new Float64Array(dataset.categories.length);
  let boxes = 0;
  let imagesWithoutBoxes = 0;
  let clipped = 0;
  let dropped = 0;
  let tiny = 0;
  let crowd = 0;
  for (const image of dataset.images) {
    const targets = trainingTargets(dataset, image, options);
    boxes += targets.labels.length;
    if (targets.labels.length === 0) imagesWithoutBoxes++;
    clipped += targets.clipped;
    dropped += targets.dropped;
    tiny += targets.tiny;
    crowd += targets.crowd;
    for (const label of targets.labels) perLabel[label]! += 1;
  }
  const emptyCategories = dataset.categories.filter((_, label) => perLabel[label] === 0).map(({ name }) => name);
  const { categories, remapped } = dataset;
  const names = new Set(categories.map(({ name }) => name));
  const repeated = repeatedIds(dataset);
  const ids =
    categories.length > 4 ? `${categories[0]!.id}–${categories.at(-1)!.id}` : categories.map(({ id }) => id).join(", ");
  const notes = [
    remapped && `category ids ${ids} are mapped to labels 0–${categories.length - 1}`,
    names.size < categories.length &&
      `${categories.length} categories share ${counted(names.size, "name", "names")}; results by name cannot tell them apart`,
    repeated > 0 && `${counted(repeated, "annotation has", "annotations have")} the id of an earlier one, all are kept`,
    clipped > 0 && `${counted(clipped, "box", "boxes")} beyond the image, cut at its edge`,
    dropped > 0 && `${counted(dropped, "box", "boxes")} without area inside the image, left out`,
    tiny > 0 &&
      `${counted(tiny, "box", "boxes")} under one pixel at ${options.size?.join("x")}, left out; a larger --size would keep some`,
    crowd > 0 && `${counted(crowd, "crowd region", "crowd regions")}, no targets`,
    boxes === 0 && "no image has a box: a model can only learn to find nothing",
    boxes > 0 &&
      imagesWithoutBoxes > 0 &&
      `${imagesWithoutBoxes} of ${counted(dataset.images.length, "image", "images")} without boxes`,
    boxes > 0 &&
      emptyCategories.length > 0 &&
      `no boxes of ${counted(emptyCategories.length, "category", "categories")} (${emptyCategories.slice(0, 5).join(", ")}${emptyCategories.length > 5 ? ", …" : ""})`,
  ].filter((note) => note !== false);
  const images = dataset.images.length;
  return { images, boxes, imagesWithoutBoxes, clipped, dropped, tiny, crowd, emptyCategories, notes };
}

/** Annotations whose id an earlier one has. */
function repeatedIds({ annotationsByImage }: CocoDataset): number {
  const seen = new Set<number>();
  let count = 0;
  for (const annotations of annotationsByImage.values())
    for (const { id } of annotations) {
      count++;
      seen.add(id);
    }
  return count - seen.size;
}

function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
