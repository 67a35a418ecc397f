import { areaRanges, detectionLimits, iouThresholds } from "./cocoStats.ts";

/** The objects of one category in one image. */
export interface TruthGroup {
  readonly size: number;
  /** [size, 4], x y width height in pixels. */
  readonly boxes: Float64Array;
  readonly areas: Float64Array;
  /** 1 for a region of many objects. */
  readonly crowd: Uint8Array;
}

/** Detections of one category: image after image, within an image the best score first. */
export type DetectionTable = ReturnType<typeof detectionTable>;

/** No image may have more detections of one category than this in a table. */
export const maxDetections = detectionLimits[detectionLimits.length - 1]!;

/** A table for the boxes, nothing matched yet; what lies outside an area range is ignored there until matched. */
export function detectionTable(boxes: Float64Array) {
  const count = boxes.length / 4;
  const all = (1 << iouThresholds.length) - 1;
  const ignored = areaRanges.map(({ low, high }) =>
    Uint16Array.from({ length: count }, (_, d) => {
      const area = boxes[d * 4 + 2]! * boxes[d * 4 + 3]!;
      return area < low || area > high ? all : 0;
    }),
  );
  return {
    /** [N, 4], x y width height in pixels. */
    boxes,
    /** matched[area][detection]: bit t is set when the detection found an object at threshold t. */
    matched: areaRanges.map(() => new Uint16Array(count)),
    /** ignored[area][detection]: bit t is set when it counts neither as hit nor as miss. */
    ignored,
    /** Objects to be found, per area range. */
    positives: new Uint32Array(areaRanges.length),
  };
}

/**
 * Assigns the detections `start` to `end` of one image to its objects as pycocotools does: at every threshold each
 * detection, best first, takes the object of highest IoU that is still free (the last among equals), an ignored one
 * only when no other reaches the threshold. Objects outside the area range and crowds are ignored; a crowd may be
 * taken many times.
 */
export function matchDetections(
  truth: TruthGroup,
  table: DetectionTable,
  range: readonly [start: number, end: number],
): void {
  const overlaps = cocoIou(truth, table.boxes, range);
  const outside = new Uint8Array(truth.size);
  const taken = new Uint8Array(truth.size);
  areaRanges.forEach(({ low, high }, area) => {
    for (let g = 0; g < truth.size; g++) {
      outside[g] = truth.crowd[g] === 1 || truth.areas[g]! < low || truth.areas[g]! > high ? 1 : 0;
      table.positives[area]! += 1 - outside[g]!;
    }
    const order = Uint32Array.from(outside.keys()).sort((a, b) => outside[a]! - outside[b]! || a - b);
    const matched = table.matched[area]!;
    const ignored = table.ignored[area]!;
    for (let t = 0; t < iouThresholds.length; t++) {
      taken.fill(0);
      for (let d = range[0]; d < range[1]; d++) {
        const row = overlaps.subarray((d - range[0]) * truth.size, (d - range[0] + 1) * truth.size);
        const best = bestObject(row, { threshold: iouThresholds[t]!, order, outside, taken, crowd: truth.crowd });
        if (best < 0) continue;
        taken[best] = 1;
        matched[d]! |= 1 << t;
        if (outside[best] === 1) ignored[d]! |= 1 << t;
        else ignored[d]! &= ~(1 << t);
      }
    }
  });
}

/** IoU [detections of the range, objects]; against a crowd, the share of the detection that lies inside it. */
export function cocoIou(
  truth: TruthGroup,
  boxes: Float64Array,
  range: readonly [start: number, end: number],
): Float64Array {
  const [start, end] = range;
  const out = new Float64Array((end - start) * truth.size);
  const objects = truth.boxes;
  for (let d = start; d < end; d++) {
    const i = d * 4;
    const area = boxes[i + 2]! * boxes[i + 3]!;
    for (let g = 0; g < truth.size; g++) {
      const j = g * 4;
      const right = Math.min(boxes[i]! + boxes[i + 2]!, objects[j]! + objects[j + 2]!);
      const width = right - Math.max(boxes[i]!, objects[j]!);
      if (width <= 0) continue;
      const bottom = Math.min(boxes[i + 1]! + boxes[i + 3]!, objects[j + 1]! + objects[j + 3]!);
      const height = bottom - Math.max(boxes[i + 1]!, objects[j + 1]!);
      if (height <= 0) continue;
      const shared = width * height;
      const union = truth.crowd[g] === 1 ? area : area + objects[j + 2]! * objects[j + 3]! - shared;
      out[(d - start) * truth.size + g] = shared / union;
    }
  }
  return out;
}

interface Candidates {
  readonly threshold: number;
  /** Objects in the order of trial: those to be found before the ignored ones. */
  readonly order: Uint32Array;
  readonly outside: Uint8Array;
  readonly taken: Uint8Array;
  readonly crowd: Uint8Array;
}

/** The object that a detection with these overlaps takes, or -1. */
function bestObject(overlaps: Float64Array, { threshold, order, outside, taken, crowd }: Candidates): number {
  let best = -1;
  let bestOverlap = Math.min(threshold, 1 - 1e-10);
  for (const g of order) {
    if (taken[g] === 1 && crowd[g] === 0) continue;
    if (best >= 0 && outside[best] === 0 && outside[g] === 1) break;
    if (overlaps[g]! < bestOverlap) continue;
    bestOverlap = overlaps[g]!;
    best = g;
  }
  return best;
}
