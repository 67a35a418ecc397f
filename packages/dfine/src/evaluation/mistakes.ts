import type { CocoAnnotation, CocoDataset } from "../data/dataset.ts";
import { cocoIou, takeObjects } from "./cocoMatch.ts";
import type { Detection } from "./detections.ts";
import { checkDetections, groupBy, groupByCategory } from "./imageCategories.ts";

/**
 * Why a detection is wrong. "duplicate": on an object of its class that a better one has. "wrong class": on an object of
 * another class. "poorly placed": near an object of its class. "background": none of these.
 */
export const FALSE_POSITIVES = ["duplicate", "wrong class", "poorly placed", "background"] as const;
/** One of `FALSE_POSITIVES`. */
export type FalsePositiveKind = (typeof FALSE_POSITIVES)[number];

/**
 * Why an object is missed. "wrong class": a wrong detection of another class is on it. "poorly placed": a wrong one of its
 * class is near. "low score": it is found below the threshold. "nothing": none of these.
 */
export const FALSE_NEGATIVES = ["wrong class", "poorly placed", "low score", "nothing"] as const;
/** One of `FALSE_NEGATIVES`. */
export type FalseNegativeKind = (typeof FALSE_NEGATIVES)[number];

/** A detection that is wrong. */
export interface FalsePositive {
  readonly kind: FalsePositiveKind;
  readonly detection: Detection;
  /** The object that the kind speaks of; none for "background". */
  readonly object: CocoAnnotation | undefined;
}

/** An object that was missed. */
export interface FalseNegative {
  readonly kind: FalseNegativeKind;
  readonly imageId: number;
  readonly object: CocoAnnotation;
  /** Highest score of a detection of its class on it, below the threshold; 0 where there is none. */
  readonly score: number;
}

/** What is wrong among the detections of a score from `threshold` on. */
export interface Mistakes {
  readonly threshold: number;
  /** IoU from which on a detection is on an object. */
  readonly iou: number;
  /** The highest scores first. */
  readonly falsePositives: readonly FalsePositive[];
  /** Those of the lowest score first, the largest among equals. */
  readonly falseNegatives: readonly FalseNegative[];
  /** How many there are of each kind. */
  readonly counts: {
    readonly falsePositives: Readonly<Record<FalsePositiveKind, number>>;
    readonly falseNegatives: Readonly<Record<FalseNegativeKind, number>>;
  };
}

/** A detection is near an object from this IoU on: TIDE's background threshold (Bolya et al. 2020). */
const NEAR = 0.1;

/** Which detections count, and when they are on an object. */
export interface MistakesOptions {
  /** Lowest score that counts. Default 0.25. */
  readonly threshold?: number;
  /** IoU from which on a detection is on an object. Default 0.5. */
  readonly iou?: number;
  /** Most of either that are listed; all are counted. Default: all. */
  readonly most?: number;
}

/**
 * Lists what is wrong: detections that take no object of their class by COCO's rules, objects that no detection takes. Kinds
 * are tried in the order of `FALSE_POSITIVES` and `FALSE_NEGATIVES`; crowds are neither found nor missed.
 * @throws DatasetError when a detection names an unknown image or holds a number that is not finite
 */
export function findMistakes(
  dataset: CocoDataset,
  detections: readonly Detection[],
  { threshold = 0.25, iou = 0.5, most = Number.POSITIVE_INFINITY }: MistakesOptions = {},
): Mistakes {
  checkDetections(dataset, detections);
  const wrong: Detection[] = [];
  const missed: Omit<FalseNegative, "kind">[] = [];
  for (const { imageId, truth, found } of groupByCategory(dataset, detections).cells.flat()) {
    const overlaps = cocoIou({ truth, found });
    const takes = takeObjects({ truth, found }, overlaps, { threshold: iou });
    const isTaken = new Set(takes.filter((_, d) => found[d]!.score >= threshold));
    wrong.push(...found.filter(({ score }, d) => score >= threshold && takes[d]! < 0));
    for (const [g, object] of truth.entries()) {
      if (object.iscrowd || isTaken.has(g)) continue;
      const on = found.filter((one, d) => one.score < threshold && overlaps[d * truth.length + g]! >= iou);
      missed.push({ imageId, object, score: on[0]?.score ?? 0 });
    }
  }
  const truthOf = (imageId: number) => (dataset.annotationsByImage.get(imageId) ?? []).filter((one) => !one.iscrowd);
  const falsePositives = wrong.map((detection) => judge(detection, truthOf(detection.imageId), iou));
  const wrongIn = groupBy(wrong, ({ imageId }) => imageId);
  const falseNegatives = missed.map(
    (miss): FalseNegative => ({ kind: missKind(miss, wrongIn.get(miss.imageId) ?? [], iou), ...miss }),
  );
  falsePositives.sort((a, b) => b.detection.score - a.detection.score);
  falseNegatives.sort((a, b) => a.score - b.score || areaOf(b.object) - areaOf(a.object));
  return {
    ...{ threshold, iou },
    falsePositives: falsePositives.slice(0, most),
    falseNegatives: falseNegatives.slice(0, most),
    counts: {
      falsePositives: countKinds(FALSE_POSITIVES, falsePositives),
      falseNegatives: countKinds(FALSE_NEGATIVES, falseNegatives),
    },
  };
}

const areaOf = ({ bbox: [, , width, height] }: CocoAnnotation): number => width * height;

function judge(detection: Detection, truth: readonly CocoAnnotation[], iou: number): FalsePositive {
  const isOwn = ({ categoryId }: CocoAnnotation) => categoryId === detection.categoryId;
  const own = nearest(detection, truth.filter(isOwn));
  const other = nearest(
    detection,
    truth.filter((object) => !isOwn(object)),
  );
  if (own.overlap >= iou) return { kind: "duplicate", detection, object: own.object };
  if (other.overlap >= iou) return { kind: "wrong class", detection, object: other.object };
  if (own.overlap >= NEAR) return { kind: "poorly placed", detection, object: own.object };
  return { kind: "background", detection, object: undefined };
}

function nearest(detection: Detection, truth: readonly CocoAnnotation[]) {
  const overlaps = cocoIou({ truth, found: [detection] });
  const best = overlaps.indexOf(Math.max(...overlaps));
  return { object: truth[best], overlap: overlaps[best] ?? 0 };
}

function missKind(
  { object, score }: Omit<FalseNegative, "kind">,
  wrong: readonly Detection[],
  iou: number,
): FalseNegativeKind {
  const overlaps = cocoIou({ truth: [object], found: wrong });
  const some = (isOwn: boolean, least: number) =>
    wrong.some(({ categoryId }, d) => (categoryId === object.categoryId) === isOwn && overlaps[d]! >= least);
  if (some(false, iou)) return "wrong class";
  if (some(true, NEAR)) return "poorly placed";
  return score > 0 ? "low score" : "nothing";
}

function countKinds<K extends string>(kinds: readonly K[], list: readonly { readonly kind: K }[]): Record<K, number> {
  const counts = kinds.map((kind) => [kind, list.filter((one) => one.kind === kind).length] as const);
  return Object.fromEntries(counts) as Record<K, number>;
}
