import type { Floats } from "./loss/matches.ts";

/** Detections of one image, best first. */
export interface Detections {
  readonly labels: Int32Array;
  /** [n, 4], x1 y1 x2 y2 in pixels of the original image, not clipped to it. */
  readonly boxes: Float64Array;
  readonly scores: Float64Array;
}

/** Raw output of the model: logits [B, Q, C] and boxes [B, Q, 4], cxcywh in 0–1. */
export interface RawDetections {
  readonly logits: Floats;
  readonly boxes: Floats;
  readonly numQueries: number;
}

/** Model outputs that cannot be turned into detections. */
export class PostprocessError extends Error {
  override readonly name = "PostprocessError";
}

/** Indices of the `count` largest values, descending, ties to the lower index and NaN last. */
export function topIndices(values: Floats, count: number): Int32Array {
  const best = new Int32Array(Math.min(count, values.length));
  const rank = (index: number) => {
    const value = values[index]!;
    return Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value;
  };
  let found = 0;
  for (let index = 0; index < values.length; index++) {
    const own = rank(index);
    // Most values are not among the best so far, and cost one comparison.
    if (found === best.length && !(own > rank(best[found - 1]!))) continue;
    let at = 0;
    for (let end = found; at < end; ) {
      const middle = (at + end) >> 1;
      if (rank(best[middle]!) >= own) at = middle + 1;
      else end = middle;
    }
    best.copyWithin(at + 1, at, found);
    best[at] = index;
    found = Math.min(found + 1, best.length);
  }
  return best;
}

/**
 * The best query-class pairs of each image as detections, at most `numTopQueries` (fewer where Q · C is smaller). A
 * query may appear with several labels; no suppression, no threshold. D-FINE's post-processor.
 * @param sizes original width and height of each image, pixels
 * @throws PostprocessError where the arrays do not fit together
 */
export function postprocess(
  outputs: RawDetections,
  sizes: readonly (readonly [width: number, height: number])[],
  options: { readonly numTopQueries?: number } = {},
): Detections[] {
  const { logits, boxes, numQueries } = outputs;
  const classes = sizes.length === 0 ? 0 : logits.length / (sizes.length * numQueries);
  if (boxes.length !== sizes.length * numQueries * 4 || !Number.isInteger(classes))
    throw new PostprocessError(
      `postprocess: ${logits.length} logits and ${boxes.length} box numbers do not fit ` +
        `${sizes.length} images of ${numQueries} queries; give one size for each image of the batch`,
    );
  const perImage = numQueries * classes;
  return sizes.map(([width, height], b) => {
    const scores = logits.subarray(b * perImage, (b + 1) * perImage);
    const best = topIndices(scores, options.numTopQueries ?? 300);
    const out: Detections = {
      labels: Int32Array.from(best, (index) => index % classes),
      boxes: new Float64Array(best.length * 4),
      scores: Float64Array.from(best, (index) => 1 / (1 + Math.exp(-scores[index]!))),
    };
    best.forEach((index, rank) => {
      const at = (b * numQueries + Math.floor(index / classes)) * 4;
      const [cx, cy, w, h] = [boxes[at]!, boxes[at + 1]!, boxes[at + 2]!, boxes[at + 3]!];
      const corners = [(cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height];
      out.boxes.set(corners, rank * 4);
    });
    return out;
  });
}
