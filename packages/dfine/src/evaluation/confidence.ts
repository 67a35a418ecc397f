import type { CocoDataset } from "../data/dataset.ts";
import { precisionAtRecall } from "./cocoAccumulate.ts";
import { type Cell, cocoIou, takeObjects } from "./cocoMatch.ts";
import type { Detection } from "./detections.ts";
import { checkDetections, groupByCategory } from "./imageCategories.ts";

/** What is right and wrong among the detections of a score from `threshold` on. */
export interface ConfidencePoint {
  readonly threshold: number;
  /** Share of the detections that are right; 1 where there is none. */
  readonly precision: number;
  /** Share of the objects that are found. */
  readonly recall: number;
  /** Harmonic mean of both. */
  readonly f1: number;
}

/** How right detections are, by how sure the model is of them. */
export interface ConfidenceCurve {
  /** Objects to be found, without crowds. */
  readonly objects: number;
  /** Highest precision at recall 0, 0.01, …, 1 or beyond it, as COCO has it: their mean is AP at this IoU. */
  readonly precisionByRecall: readonly number[];
  /** At the scores 0, 0.01, …, 1. */
  readonly byThreshold: readonly ConfidencePoint[];
  /** Where F1 is highest; undefined where nothing is found. */
  readonly best: ConfidencePoint | undefined;
}

/** Curves of a data set and of its categories. */
export interface ConfidenceCurves {
  /** Means over the categories that have objects: the best threshold is that of the highest mean F1. */
  readonly all: ConfidenceCurve;
  /** One entry per category of the data set, in its order. */
  readonly perCategory: readonly (ConfidenceCurve & { readonly categoryId: number; readonly name: string })[];
}

/** Scores at which curves are sampled. */
const SAMPLES: readonly number[] = Array.from({ length: 101 }, (_, i) => i / 100);

/** Detections of one category that count, best first: scores, and how many of the first k are right [k + 1]. */
interface Ranking {
  readonly scores: readonly number[];
  readonly hits: readonly number[];
  readonly objects: number;
}

/**
 * Precision, recall and F1 of detections by the score from which on they count, for each category and over all. A detection
 * is right where it takes an object of its category by COCO's rules at `iou` (default 0.5); those that fall to a crowd do not
 * count. A best threshold lies midway to the next lower score, so that rounding moves no detection across it.
 * @throws DatasetError when a detection names an unknown image or holds a number that is not finite
 */
export function confidenceCurves(
  dataset: CocoDataset,
  detections: readonly Detection[],
  { iou = 0.5 }: { readonly iou?: number } = {},
): ConfidenceCurves {
  checkDetections(dataset, detections);
  const rankings = groupByCategory(dataset, detections).cells.map((cells) => rank(cells, iou));
  const perCategory = dataset.categories.map(({ id, name }, label) => ({
    ...{ categoryId: id, name },
    ...curveOf(rankings[label]!),
  }));
  const present = rankings.filter(({ objects }) => objects > 0);
  const curves = perCategory.filter(({ objects }) => objects > 0);
  const all: ConfidenceCurve = {
    objects: present.reduce((sum, { objects }) => sum + objects, 0),
    precisionByRecall: curves.length === 0 ? [] : SAMPLES.map((_, i) => meanOf(curves, (c) => c.precisionByRecall[i]!)),
    byThreshold: SAMPLES.map((threshold) => meanPoint(present, threshold)),
    best: bestPoint(present),
  };
  return { all, perCategory };
}

function rank(cells: readonly Cell[], threshold: number): Ranking {
  const rows = cells.flatMap((cell) => {
    const takes = takeObjects(cell, cocoIou(cell), { threshold });
    return cell.found.flatMap(({ score }, d) => {
      const isHit = takes[d]! >= 0;
      return isHit && cell.truth[takes[d]!]!.iscrowd ? [] : [{ score, isHit }];
    });
  });
  rows.sort((a, b) => b.score - a.score);
  const hits = [0];
  for (const { isHit } of rows) hits.push(hits.at(-1)! + (isHit ? 1 : 0));
  const objects = cells.reduce((sum, { truth }) => sum + truth.filter(({ iscrowd }) => !iscrowd).length, 0);
  return { scores: rows.map(({ score }) => score), hits, objects };
}

function curveOf(ranking: Ranking): ConfidenceCurve {
  const { hits, objects } = ranking;
  const precisions = Float64Array.from(hits.slice(1), (count, k) => count / (k + 1));
  const recalls = Float64Array.from(hits.slice(1), (count) => count / objects);
  return {
    objects,
    precisionByRecall: objects === 0 ? [] : precisionAtRecall(precisions, recalls),
    byThreshold: SAMPLES.map((threshold) => pointOf(ranking, threshold)),
    best: objects === 0 ? undefined : bestPoint([ranking]),
  };
}

/** How many scores, in descending order, are `threshold` or more. */
function countFrom(scores: readonly number[], threshold: number): number {
  let low = 0;
  for (let high = scores.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (scores[middle]! >= threshold) low = middle + 1;
    else high = middle;
  }
  return low;
}

function pointOf({ scores, hits, objects }: Ranking, threshold: number): ConfidencePoint {
  const count = countFrom(scores, threshold);
  const right = hits[count]!;
  return {
    threshold,
    precision: count === 0 ? 1 : right / count,
    recall: objects === 0 ? 0 : right / objects,
    f1: f1Of(right, count, objects),
  };
}

/** Of `right` of `count` detections, where there are so many objects. */
const f1Of = (right: number, count: number, objects: number): number =>
  right === 0 ? 0 : (2 * right) / (count + objects);

function meanPoint(rankings: readonly Ranking[], threshold: number): ConfidencePoint {
  const points = rankings.map((ranking) => pointOf(ranking, threshold));
  return {
    threshold,
    precision: meanOf(points, ({ precision }) => precision),
    recall: meanOf(points, ({ recall }) => recall),
    f1: meanOf(points, ({ f1 }) => f1),
  };
}

const meanOf = <T>(items: readonly T[], of: (item: T) => number): number =>
  items.length === 0 ? 0 : items.reduce((sum, item) => sum + of(item), 0) / items.length;

/** Sums of many F1 differ by rounding alone. */
const ROUNDING = 1e-12;

/** The highest threshold of the highest mean F1: the sweep goes down the scores, and each changes one category's F1. */
function bestPoint(rankings: readonly Ranking[]): ConfidencePoint | undefined {
  const steps = rankings.flatMap(({ scores }, of) => scores.map((score) => ({ score, of })));
  steps.sort((a, b) => b.score - a.score);
  const counts = rankings.map(() => 0);
  const f1 = rankings.map(() => 0);
  let sum = 0;
  let best = { sum: 0, threshold: Number.NaN };
  for (const [i, { score, of }] of steps.entries()) {
    const { hits, objects } = rankings[of]!;
    const count = ++counts[of]!;
    const now = f1Of(hits[count]!, count, objects);
    sum += now - f1[of]!;
    f1[of] = now;
    const next = steps[i + 1]?.score;
    if (next === score || sum <= best.sum + ROUNDING) continue;
    best = { sum, threshold: next === undefined ? score : between(next, score) };
  }
  return Number.isNaN(best.threshold) ? undefined : meanPoint(rankings, best.threshold);
}

/** Midway between two scores; the higher one where no number lies between them. */
function between(low: number, high: number): number {
  const middle = (low + high) / 2;
  return middle > low ? middle : high;
}
