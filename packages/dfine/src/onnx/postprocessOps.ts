import { concat, mul, sigmoid, split, sub, type Tensor, topK } from "@dfine/tensor";
import type { Predictions } from "../model/outputs.ts";
import { gatherTokens } from "../model/querySelection.ts";
import { quotient } from "../model/quotient.ts";

/**
 * `postprocess` as ops: of images whose originals have `sizes` [B, 2] (width, height), the labels [B, n], i32, boxes
 * [B, n, 4] (x1 y1 x2 y2 in pixels) and scores [B, n] of the best `count` pairs of query and class, best first.
 */
export function detections({ logits, boxes }: Predictions, sizes: Tensor, count: number): Tensor[] {
  const [, queries, classes] = logits.shape as [number, number, number];
  const { values, indices } = topK(sigmoid(logits).flatten(1), Math.min(count, queries * classes));
  const query = quotient(indices, classes);
  const [centre, side] = split(boxes, [2, 2], -1) as [Tensor, Tensor];
  const half = side.mul(0.5);
  const corners = concat([centre.sub(half), centre.add(half)], -1);
  const frames = concat([sizes, sizes], 1).unsqueeze(1);
  return [sub(indices, mul(query, classes)), gatherTokens(corners, query).mul(frames), values];
}
