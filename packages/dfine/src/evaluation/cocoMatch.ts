import type { CocoAnnotation } from "../data/dataset.ts";
import { type AreaRange, iouThresholds } from "./cocoStats.ts";
import type { Detection } from "./detections.ts";

/** One category in one image: its objects, and what was found, the best first. */
export interface Cell {
  readonly imageId: number;
  readonly truth: readonly CocoAnnotation[];
  readonly found: readonly Detection[];
}

/** What became of the detections of a cell; bit t speaks of IoU threshold t. */
export interface Matches {
  /** The detection found an object. */
  readonly matched: readonly number[];
  /** It counts neither as hit nor as miss. */
  readonly ignored: readonly number[];
  /** Objects to be found. */
  readonly positives: number;
}

const ALL_THRESHOLDS = (1 << iouThresholds.length) - 1;

/**
 * Assigns the detections of a cell to its objects as pycocotools does: at every threshold each detection, best first,
 * takes the object of highest IoU that is still free (the last among equals), an ignored one only when no other reaches
 * the threshold. Objects outside the area range and crowds are ignored; a crowd may be taken many times. Detections
 * outside the range are ignored unless they find an object of it. `overlaps` are those of `cocoIou`.
 */
export function matchDetections(
  { truth, found }: Pick<Cell, "truth" | "found">,
  overlaps: readonly number[],
  { low, high }: AreaRange,
): Matches {
  const isOutside = (area: number) => area < low || area > high;
  const outside = truth.map(({ iscrowd, area }) => iscrowd || isOutside(area));
  const order = trialOrder(outside);
  const matched = found.map(() => 0);
  const ignored = found.map(({ bbox }) => (isOutside(bbox[2] * bbox[3]) ? ALL_THRESHOLDS : 0));
  for (const [t, threshold] of iouThresholds.entries()) {
    for (const [d, g] of takeObjects({ truth, found }, overlaps, { threshold, outside, order }).entries()) {
      if (g < 0) continue;
      matched[d]! |= 1 << t;
      if (outside[g]) ignored[d]! |= 1 << t;
      else ignored[d]! &= ~(1 << t);
    }
  }
  return { matched, ignored, positives: outside.filter((out) => !out).length };
}

/** Objects to be found are tried before those that are ignored. */
function trialOrder(outside: readonly boolean[]): number[] {
  const objects = [...outside.keys()];
  return [...objects.filter((g) => !outside[g]), ...objects.filter((g) => outside[g])];
}

/** Which object each detection of a cell takes at one IoU threshold, as a position in `truth`; -1 for none. */
export function takeObjects(
  { truth, found }: Pick<Cell, "truth" | "found">,
  overlaps: readonly number[],
  options: { readonly threshold: number; readonly outside?: readonly boolean[]; readonly order?: readonly number[] },
): Int32Array {
  const { threshold, outside = truth.map(({ iscrowd }) => iscrowd), order = trialOrder(outside) } = options;
  const taken = truth.map(() => false);
  const takes = new Int32Array(found.length).fill(-1);
  for (let d = 0; d < found.length; d++) {
    let best = -1;
    let bestOverlap = Math.min(threshold, 1 - 1e-10);
    for (const g of order) {
      if (taken[g] && !truth[g]!.iscrowd) continue;
      if (best >= 0 && !outside[best] && outside[g]) break;
      const overlap = overlaps[d * truth.length + g]!;
      if (overlap < bestOverlap) continue;
      bestOverlap = overlap;
      best = g;
    }
    if (best < 0) continue;
    taken[best] = true;
    takes[d] = best;
  }
  return takes;
}

/** IoU [detections, objects] of a cell; against a crowd, the share of the detection that lies inside it. */
export function cocoIou({ truth, found }: Pick<Cell, "truth" | "found">): number[] {
  const out = new Array<number>(found.length * truth.length).fill(0);
  for (const [d, { bbox }] of found.entries()) {
    const [x, y, w, h] = bbox;
    for (const [g, object] of truth.entries()) {
      const [left, top, objectWidth, objectHeight] = object.bbox;
      const width = Math.min(x + w, left + objectWidth) - Math.max(x, left);
      const height = Math.min(y + h, top + objectHeight) - Math.max(y, top);
      if (width <= 0 || height <= 0) continue;
      const shared = width * height;
      const union = object.iscrowd ? w * h : w * h + objectWidth * objectHeight - shared;
      out[d * truth.length + g] = shared / union;
    }
  }
  return out;
}
