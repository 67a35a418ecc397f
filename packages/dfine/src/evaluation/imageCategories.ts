import type { CocoDataset } from "../data/dataset.ts";
import { DatasetError } from "../data/errors.ts";
import type { Cell } from "./cocoMatch.ts";
import { detectionLimits } from "./cocoStats.ts";
import type { Detection } from "./detections.ts";

/** Detections of one category in one image that count. */
const MOST = Math.max(...detectionLimits);

/**
 * Makes sure that detections can be compared with a data set.
 * @throws DatasetError when one names an unknown image or holds a number that is not finite
 */
export function checkDetections({ file, images }: CocoDataset, detections: readonly Detection[]): void {
  const ids = new Set(images.map(({ id }) => id));
  for (const [i, { imageId, bbox, score }] of detections.entries()) {
    if (!ids.has(imageId))
      throw new DatasetError(
        file,
        `detection ${i} is of image ${imageId}, which is not among the ${images.length} images`,
        "Evaluate detections against the annotations of the same images.",
      );
    if (!Number.isFinite(score) || !bbox.every(Number.isFinite))
      throw new DatasetError(
        file,
        `detection ${i} (image ${imageId}) has score ${score} and box [${bbox.join(", ")}]`,
        "Scores and boxes must be finite; a model that has diverged gives NaN.",
      );
  }
}

/**
 * The cells of each category that are not empty, in the order of the images, and how many detections are of no category of
 * the data set.
 */
export function groupByCategory(dataset: CocoDataset, detections: readonly Detection[]) {
  const { images, categories, labels, annotationsByImage } = dataset;
  const known = detections.filter(({ categoryId }) => labels.has(categoryId));
  const byImage = groupBy(known, ({ imageId }) => imageId);
  const cells = categories.map((): Cell[] => []);
  for (const { id } of images) {
    const truth = groupBy(annotationsByImage.get(id) ?? [], ({ categoryId }) => categoryId);
    const found = groupBy(byImage.get(id) ?? [], ({ categoryId }) => categoryId);
    for (const categoryId of new Set([...truth.keys(), ...found.keys()])) {
      const best = found.get(categoryId)?.sort((a, b) => b.score - a.score) ?? [];
      cells[labels.get(categoryId)!]!.push({
        imageId: id,
        truth: truth.get(categoryId) ?? [],
        found: best.slice(0, MOST),
      });
    }
  }
  return { cells, unknownCategory: detections.length - known.length };
}

export function groupBy<T>(items: readonly T[], keyOf: (item: T) => number): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}

/** Stands for all categories. */
const ANY = { id: 0, name: "any object" };

/** The same objects and detections where categories do not matter. */
export function ofOneClass(
  { annotationsByImage, ...dataset }: CocoDataset,
  detections: readonly Detection[],
): [CocoDataset, Detection[]] {
  const all = [...annotationsByImage].map(
    ([id, objects]) => [id, objects.map((object) => ({ ...object, categoryId: ANY.id }))] as const,
  );
  return [
    { ...dataset, categories: [ANY], labels: new Map([[ANY.id, 0]]), annotationsByImage: new Map(all) },
    detections.map((detection) => ({ ...detection, categoryId: ANY.id })),
  ];
}
