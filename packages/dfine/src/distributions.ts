import { ConfigError } from "./config/errors.ts";
import type { Detector } from "./model/detector.ts";
import { weightingFunction } from "./model/weighting.ts";
import { topIndices } from "./postprocess.ts";
import { inputFrames, type PredictionReader, type PredictorInput, toDetections } from "./predictor.ts";
import { type Box, type DetectedObject, type ResultImage, toResult } from "./result.ts";

/** The edges of a box, in the order of their distributions. */
export const EDGES = ["left", "top", "right", "bottom"] as const;
/** One of `EDGES`. */
export type Edge = (typeof EDGES)[number];

/** How an edge of a box was found. */
export interface EdgeDistribution {
  /** Pr(n), n = 0 … regMax, as the decoder's last layer has it; adds up to 1. */
  readonly probability: Float64Array;
  /** W(n) · Pr(n), whose sum moves the edge outwards, in shares of the first box's side. */
  readonly weighted: Float64Array;
  /** How far it was moved outwards, pixels of the image. */
  readonly shift: number;
}

/** An object with how its box came about: D-FINE §4.1 and figure 4. */
export interface RefinedObject extends DetectedObject {
  /** The box of the first decoder layer, whose edges the distributions move; not cut at the image's edges. */
  readonly initial: Box;
  readonly edges: Readonly<Record<Edge, EdgeDistribution>>;
}

/** What is reported, as of `DetectOptions`. */
interface Limits {
  readonly threshold: number;
  readonly maxDetections: number;
}

/**
 * The objects of a batch of one image with their first boxes and the distributions of their edges.
 * @throws ConfigError for a model whose edges are no distributions
 */
export async function refinedObjects(
  read: PredictionReader,
  input: PredictorInput,
  options: ResultImage & Limits & { readonly model: Detector; readonly signal?: AbortSignal | undefined },
): Promise<RefinedObject[]> {
  const { model, signal } = options;
  const [logits, boxes, corners, refPoints, up, regScale] = await read(
    input,
    ({ logits, boxes, corners, refPoints, weighting }) => {
      if (!corners || !refPoints)
        throw new ConfigError(
          "distributions: the edges of this model are no distributions (model.decoder.boxHead is not distribution)",
        );
      return [logits, boxes, corners, refPoints, ...(weighting ? [weighting.up, weighting.regScale] : [])];
    },
    signal,
  );
  const [found] = toDetections({ logits: logits!, boxes: boxes! }, input, model.config);
  const [frame] = inputFrames(input, model.config.resize);
  const { objects } = toResult(found!, options);
  const classes = logits!.length / (boxes!.length / 4);
  const best = topIndices(logits!, objects.length);
  const learned = up && regScale ? { up: up[0]!, regScale: regScale[0]! } : {};
  const weighting = { ...model.weighting, ...learned };
  const weights = weightingFunction(weighting).map((weight) => weight / weighting.regScale);
  return objects.map((object, i) => {
    const query = Math.floor(best[i]! / classes);
    const [cx, cy, w, h] = refPoints!.subarray(4 * query, 4 * query + 4) as unknown as [number, number, number, number];
    const x = (share: number) => frame!.left + share * frame!.width;
    const y = (share: number) => frame!.top + share * frame!.height;
    const initial: Box = { xmin: x(cx - w / 2), ymin: y(cy - h / 2), xmax: x(cx + w / 2), ymax: y(cy + h / 2) };
    const bins = weights.length;
    const edge = (k: number): EdgeDistribution => {
      const start = (4 * query + k) * bins;
      const probability = softmax(corners!.subarray(start, start + bins));
      const weighted = probability.map((p, n) => p * weights[n]!);
      const side = k % 2 === 0 ? w * frame!.width : h * frame!.height;
      return { probability, weighted, shift: side * weighted.reduce((sum, part) => sum + part, 0) };
    };
    return { ...object, initial, edges: { left: edge(0), top: edge(1), right: edge(2), bottom: edge(3) } };
  });
}

function softmax(logits: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(logits);
  const most = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}
