import * as z from "zod";

/** What box heads are told, among the decoder's keys. */
export const weightingSchema = z.object({
  /** Bins per edge, N of the paper: W has regMax + 1 values. */
  regMax: z.int().min(4).multipleOf(2),
  /** 1/c of the paper. */
  regScale: z.number().positive(),
  /** a of the paper. */
  up: z.number().positive(),
  /** Whether a and c are learned too, from those values on. */
  learnWeighting: z.boolean().default(false),
});

/** Shape of the weighting function W(n). @interface */
export type WeightingParameters = Readonly<Pick<z.infer<typeof weightingSchema>, "regMax" | "regScale" | "up">>;

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
