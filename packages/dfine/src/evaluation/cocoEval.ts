import type { CocoAnnotation, CocoDataset } from "../data/dataset.ts";
import { DatasetError } from "../data/errors.ts";
import { accumulate, type Curve } from "./cocoAccumulate.ts";
import { detectionTable, matchDetections, maxDetections, type TruthGroup } from "./cocoMatch.ts";
import { areaRanges, type CocoStatName, cocoStats, detectionLimits } from "./cocoStats.ts";
import type { Detection } from "./detections.ts";

/** Box AP of one category over IoU 0.50 to 0.95; -1 when it has no objects. */
export interface CategoryResult {
  readonly categoryId: number;
  readonly name: string;
  readonly ap: number;
  readonly ap50: number;
  /** Objects to be found, without crowds. */
  readonly objects: number;
}

/** Outcome of a COCO box evaluation. */
export interface CocoResult {
  /** The twelve numbers; -1 where there was nothing to find. */
  readonly stats: Readonly<Record<CocoStatName, number>>;
  /** One entry per category of the data set, in its order. */
  readonly perCategory: readonly CategoryResult[];
  /** Detections left out because the data set has no such category, as pycocotools leaves them out. */
  readonly unknownCategory: number;
}

/** Curves of one category: [area range][detection limit]; null where there is nothing to find. */
type CategoryCurves = readonly (readonly (Curve | null)[])[];

/**
 * Scores detections by COCO's box measures, equal to pycocotools: IoU 0.50:0.05:0.95, 101 recall levels, 1, 10 and 100
 * detections per image and category, sizes by annotation area, crowds ignored, equal scores in the order given.
 * (One difference: an annotation with id 0 can be matched like any other; pycocotools takes it for unmatched.)
 * @throws DatasetError when a detection names an unknown image or holds a number that is not finite
 */
export function evaluateDetections(groundTruth: CocoDataset, detections: readonly Detection[]): CocoResult {
  const { byLabel, unknownCategory } = groupDetections(groundTruth, detections);
  const truthByLabel = groupTruth(groundTruth);
  const curves = groundTruth.categories.map((_, label) =>
    categoryCurves(truthByLabel[label]!, { order: byLabel[label]!, detections }),
  );
  const stats = Object.fromEntries(
    cocoStats.map(({ name, measure, threshold, area, limit }) => {
      const values = curves.flatMap((category) => {
        const curve = category[area]![limit];
        if (!curve) return [];
        const perThreshold = measure === "precision" ? curve.averagePrecision : curve.recall;
        return threshold === null ? [...perThreshold] : [perThreshold[threshold]!];
      });
      return [name, mean(values)];
    }),
  ) as Record<CocoStatName, number>;
  const perCategory = groundTruth.categories.map(({ id, name }, label): CategoryResult => {
    const curve = curves[label]![0]![detectionLimits.length - 1];
    return {
      categoryId: id,
      name,
      ap: curve ? mean([...curve.averagePrecision]) : -1,
      ap50: curve ? curve.averagePrecision[0]! : -1,
      objects: truthByLabel[label]!.flatMap(({ annotations }) => annotations).filter(({ iscrowd }) => !iscrowd).length,
    };
  });
  return { stats, perCategory, unknownCategory };
}

/** One category's objects in one image. */
interface ImageTruth {
  /** Position in the data set's images. */
  readonly image: number;
  readonly annotations: readonly CocoAnnotation[];
}

/** Detections of one category as positions in the list: by image, then best first. */
interface OrderedDetections {
  readonly order: readonly (readonly [image: number, positions: readonly number[]])[];
  readonly detections: readonly Detection[];
}

function groupTruth(dataset: CocoDataset): ImageTruth[][] {
  const byLabel: ImageTruth[][] = dataset.categories.map(() => []);
  dataset.images.forEach(({ id }, image) => {
    const groups = new Map<number, CocoAnnotation[]>();
    for (const annotation of dataset.annotationsByImage.get(id) ?? []) {
      const label = dataset.labels.get(annotation.categoryId)!;
      const group = groups.get(label);
      if (group) group.push(annotation);
      else groups.set(label, [annotation]);
    }
    for (const [label, annotations] of groups) byLabel[label]!.push({ image, annotations });
  });
  return byLabel;
}

function groupDetections(dataset: CocoDataset, detections: readonly Detection[]) {
  const imageOf = new Map(dataset.images.map(({ id }, image) => [id, image]));
  const grouped = dataset.categories.map(() => new Map<number, number[]>());
  let unknownCategory = 0;
  for (let i = 0; i < detections.length; i++) {
    const { imageId, categoryId, bbox, score } = detections[i]!;
    const image = imageOf.get(imageId);
    if (image === undefined) {
      throw new DatasetError(
        dataset.file,
        `detection ${i} is of image ${imageId}, which is not among the ${dataset.images.length} images`,
        "Evaluate detections against the annotations of the same images.",
      );
    }
    if (!Number.isFinite(score) || !bbox.every(Number.isFinite)) {
      throw new DatasetError(
        dataset.file,
        `detection ${i} (image ${imageId}) has score ${score} and box [${bbox.join(", ")}]`,
        "Scores and boxes must be finite; a model that has diverged gives NaN.",
      );
    }
    const label = dataset.labels.get(categoryId);
    if (label === undefined) {
      unknownCategory++;
      continue;
    }
    const group = grouped[label]!.get(image);
    if (group) group.push(i);
    else grouped[label]!.set(image, [i]);
  }
  const byLabel = grouped.map((groups) =>
    [...groups]
      .sort((a, b) => a[0] - b[0])
      .map(([image, positions]) => [image, bestFirst(positions, detections)] as const),
  );
  return { byLabel, unknownCategory };
}

function bestFirst(positions: number[], detections: readonly Detection[]): number[] {
  return positions.sort((a, b) => detections[b]!.score - detections[a]!.score || a - b).slice(0, maxDetections);
}

function categoryCurves(truth: readonly ImageTruth[], found: OrderedDetections): CategoryCurves {
  const total = found.order.reduce((sum, [, positions]) => sum + positions.length, 0);
  const boxes = new Float64Array(total * 4);
  const scores = new Float64Array(total);
  const ranks = new Uint8Array(total);
  const ranges = new Map<number, readonly [number, number]>();
  let at = 0;
  for (const [image, positions] of found.order) {
    ranges.set(image, [at, at + positions.length]);
    for (let rank = 0; rank < positions.length; rank++) {
      const { bbox, score } = found.detections[positions[rank]!]!;
      boxes.set(bbox, at * 4);
      scores[at] = score;
      ranks[at] = rank;
      at++;
    }
  }
  const table = detectionTable(boxes);
  for (const { image, annotations } of truth) {
    matchDetections(truthGroup(annotations), table, ranges.get(image) ?? [0, 0]);
  }
  const ranking = Uint32Array.from(scores, (_, i) => i).sort((a, b) => scores[b]! - scores[a]! || a - b);
  const kept = detectionLimits.map((limit) => ranking.filter((i) => ranks[i]! < limit));
  return areaRanges.map((_, area) =>
    kept.map((ranked) => {
      const positives = table.positives[area]!;
      if (positives === 0) return null;
      const matched = table.matched[area]!;
      const ignored = table.ignored[area]!;
      return accumulate({
        matched: Uint16Array.from(ranked, (i) => matched[i]!),
        ignored: Uint16Array.from(ranked, (i) => ignored[i]!),
        positives,
      });
    }),
  );
}

function truthGroup(annotations: readonly CocoAnnotation[]): TruthGroup {
  return {
    size: annotations.length,
    boxes: Float64Array.from(annotations.flatMap(({ bbox }) => bbox)),
    areas: Float64Array.from(annotations, ({ area }) => area),
    crowd: Uint8Array.from(annotations, ({ iscrowd }) => (iscrowd ? 1 : 0)),
  };
}

function mean(values: readonly number[]): number {
  if (values.length === 0) return -1;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
