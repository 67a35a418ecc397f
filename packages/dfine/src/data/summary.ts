import { counted, firstOf } from "../describe.ts";
import type { CocoDataset } from "./dataset.ts";
import { type TrainingTargetsOptions, trainingTargets } from "./targets.ts";

/** What a data set is for, and what the model can take. */
export interface SummaryOptions extends TrainingTargetsOptions {
  /** Default "training". An evaluation compares with boxes as they are, also beyond the image. */
  readonly use?: "training" | "evaluation";
  /** Objects that the model can find in one image. */
  readonly queries?: number;
}

/**
 * What a trainer says of a whole data set before the first step: `boxes`, the targets that training will see, and in
 * `notes` one sentence for everything that was mended or looks odd.
 */
export function summarizeDataset(dataset: CocoDataset, options: SummaryOptions = {}) {
  const { use = "training", queries = Number.POSITIVE_INFINITY } = options;
  const training = use === "training";
  const targets = dataset.images.map((image) => trainingTargets(dataset, image, options));
  const counts = targets.map(({ labels, dropped }) => labels.length + (training ? 0 : dropped));
  const most = counts.reduce((a, b) => Math.max(a, b), 0);
  const crowded = counts.filter((count) => count > queries).length;
  const boxes = counts.reduce((sum, count) => sum + count, 0);
  const imagesWithoutBoxes = counts.filter((count) => count === 0).length;
  const total = (kind: "clipped" | "dropped" | "tiny" | "crowd") => targets.reduce((sum, one) => sum + one[kind], 0);
  const [clipped, dropped, tiny, crowd] = [total("clipped"), total("dropped"), total("tiny"), total("crowd")];
  const seen = new Set(targets.flatMap(({ labels }) => [...labels]));
  const emptyCategories = dataset.categories.filter((_, label) => !seen.has(label)).map(({ name }) => name);
  const { categories } = dataset;
  const names = new Set(categories.map(({ name }) => name));
  const annotations = [...dataset.annotationsByImage.values()].flat();
  const sameId = repeated(annotations.map(({ id }) => id)).length;
  const files = repeated(dataset.images.map(({ fileName }) => plainPath(fileName)));
  const ids =
    categories.length > 4 ? `${categories[0]!.id}–${categories.at(-1)!.id}` : categories.map(({ id }) => id).join(", ");
  const notes = [
    categories.some(({ id }, label) => id !== label) &&
      `category ids ${ids} are mapped to labels 0–${categories.length - 1}`,
    names.size < categories.length &&
      `${categories.length} categories share ${counted(names.size, "name", "names")}; results by name cannot tell them apart`,
    sameId > 0 && `${counted(sameId, "annotation has", "annotations have")} the id of an earlier one, all are kept`,
    files.length > 0 &&
      `${counted(files.length, "image has", "images have")} the file of an earlier one (${firstOf(files)}): each is used with its own boxes only`,
    training && clipped > 0 && `${counted(clipped, "box", "boxes")} beyond the image, cut at its edge`,
    training && dropped > 0 && `${counted(dropped, "box", "boxes")} without area inside the image, left out`,
    tiny > 0 &&
      `${counted(tiny, "box", "boxes")} under one pixel at ${options.size?.join("x")}, left out; a larger --size would keep some`,
    crowd > 0 && `${counted(crowd, "crowd region", "crowd regions")}, no targets`,
    crowded > 0 &&
      `${counted(crowded, "image has", "images have")} more boxes, up to ${most}, than the model has queries (${queries}), so not all can be found; train with more (model.decoder.numQueries)`,
    boxes === 0 && `no image has a box: ${training ? "a model can only learn to find nothing" : "there is no AP"}`,
    boxes > 0 &&
      imagesWithoutBoxes > 0 &&
      `${imagesWithoutBoxes} of ${counted(dataset.images.length, "image", "images")} without boxes`,
    boxes > 0 &&
      emptyCategories.length > 0 &&
      `no boxes of ${counted(emptyCategories.length, "category", "categories")} (${firstOf(emptyCategories)})`,
  ].filter((note) => note !== false);
  return { boxes, notes };
}

/** The same text for all ways to write a path inside a folder. */
const plainPath = (path: string): string =>
  path
    .split(/[\\/]+/)
    .filter((part) => part !== ".")
    .join("/");

/** The values that an earlier one equals. */
function repeated<T>(values: readonly T[]): T[] {
  const seen = new Set<T>();
  return values.filter((value) => seen.size === seen.add(value).size);
}
