type Floats = Float32Array | Float64Array;

/** Detections, best first; boxes [n, 4] as x1 y1 x2 y2 in pixels. */
export interface DetectionList {
  readonly labels: Int32Array;
  readonly boxes: Floats;
  readonly scores: Floats;
}

export interface DetectionOptions {
  /** Width and height of the image, pixels. */
  readonly size: readonly [number, number];
  /** Allowances: box edges in sides of the image, scores. */
  readonly box: number;
  readonly score: number;
  /** Boxes of queries that only the expected side has: detections with them are left out. */
  readonly leftOut: readonly (readonly number[])[];
}

export interface DetectionErrors {
  /** Expected detections whose label nothing is left of. */
  readonly unpaired: number;
  /** Largest difference of an edge, in sides of the image. */
  readonly box: number;
  readonly score: number;
}

/** Pixels within which a detection's box is a query's box: only rounding lies between them. */
const SAME_BOX = 0.01;

const boxAt = (boxes: Floats, i: number): readonly number[] => [...boxes.subarray(4 * i, 4 * i + 4)];

function edgeError(a: readonly number[], b: readonly number[], size: readonly [number, number]): number {
  return Math.max(...a.map((edge, k) => Math.abs(edge - b[k]!) / size[k % 2]!));
}

/**
 * Pairs each expected detection, best first, with the found one of its label that is nearest in box and score, and gives
 * the largest differences. Near the last rank either side may have cut off what the other kept: such detections count only
 * if they have a partner.
 */
export function compareDetections(
  found: DetectionList,
  expected: DetectionList,
  options: DetectionOptions,
): DetectionErrors {
  const { size, leftOut } = options;
  const lowest = Math.min(...expected.scores);
  const used = new Set<number>();
  const errors = { unpaired: 0, box: 0, score: 0 };
  expected.labels.forEach((label, i) => {
    const box = boxAt(expected.boxes, i);
    const score = expected.scores[i]!;
    const isExcused =
      score <= lowest + 2 * options.score ||
      leftOut.some((other) => other.every((edge, k) => Math.abs(edge - box[k]!) < SAME_BOX));
    let best: { j: number; distance: number; box: number; score: number } | undefined;
    found.labels.forEach((other, j) => {
      if (other !== label || used.has(j)) return;
      const off = { box: edgeError(box, boxAt(found.boxes, j), size), score: Math.abs(score - found.scores[j]!) };
      const distance = Math.max(off.box / options.box, off.score / options.score);
      if (!best || distance < best.distance) best = { j, distance, ...off };
    });
    if (isExcused && !(best && best.distance <= 1)) return;
    if (!best) {
      errors.unpaired++;
      return;
    }
    used.add(best.j);
    errors.box = Math.max(errors.box, best.box);
    errors.score = Math.max(errors.score, best.score);
  });
  return errors;
}
