/** Shape of the weighting function W(n). */
export interface WeightingParameters {
  /** Bins per edge, N of the paper: W has regMax + 1 values. */
  readonly regMax: number;
  /** 1/c of the paper. */
  readonly regScale: number;
  /** a of the paper. */
  readonly up: number;
}

/**
 * D-FINE's weighting function, W(0)…W(regMax), in units of box side / regScale; regMax is even. D-FINE §4.1, with
 * a = up and c = 1 / regScale.
 */
export function weightingFunction({ regMax, regScale, up }: WeightingParameters): Float64Array {
  const bound = Math.abs(up) * Math.abs(regScale);
  const step = (bound + 1) ** (2 / (regMax - 2));
  const half = regMax / 2;
  const weights = new Float64Array(regMax + 1);
  for (let i = 1; i < half; i++) {
    weights[half + i] = step ** i - 1;
    weights[half - i] = 1 - step ** i;
  }
  weights[regMax] = 2 * bound;
  weights[0] = -weights[regMax]!;
  return weights;
}
