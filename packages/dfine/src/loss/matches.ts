/** Numbers of either precision. */
export type Floats = Float32Array | Float64Array;

/** Ground truth of one image: labels [n], boxes [n, 4] as cxcywh in 0–1. */
export interface MatchTargets {
  readonly labels: Int32Array;
  readonly boxes: Floats;
}

/** Matched pairs of one image, `queries` ascending. */
export interface MatchedPairs {
  readonly queries: Int32Array;
  readonly targets: Int32Array;
}
