/** Shape of the weighting function W(n). */
export interface WeightingParameters {
  /** Bins per edge, N of the paper: W has regMax + 1 values. */
  readonly regMax: number;
  /** 1/c of the paper. */
  readonly regScale: number;
  /** a of the paper. */
  readonly up: number;
}

/** Builds W(0)…W(regMax), every operation passed through `round`. */
function weights({ regMax, regScale, up }: WeightingParameters, round: (value: number) => number): Float64Array {
  const bound = round(Math.abs(round(up)) * Math.abs(round(regScale)));
  const base = round(bound + 1);
  const step = round(base ** round(2 / (regMax - 2)));
  const half = regMax / 2;
  const out = new Float64Array(regMax + 1);
  for (let i = 1; i < half; i++) {
    const power = round(step ** i);
    out[half + i] = round(power - 1);
    out[half - i] = round(-power + 1);
  }
  out[regMax] = round(2 * bound);
  out[0] = -out[regMax]!;
  return out;
}

/**
 * D-FINE's weighting function, W(0)…W(regMax), in units of box side / regScale; regMax is even. D-FINE §4.1, with
 * a = up and c = 1 / regScale.
 */
export function weightingFunction(parameters: WeightingParameters): Float64Array {
  return weights(parameters, (value) => value);
}

/** `weightingFunction` as training and evaluation compute it: powers of float32 numbers, rounded at every step. */
export function weightingFunctionFloat32(parameters: WeightingParameters): Float32Array {
  return Float32Array.from(weights(parameters, Math.fround));
}
