import type { Tensor } from "@dfine/tensor";
import type { Refine } from "./boxRefiner.ts";
import type { DecoderLayer, DecoderLayerInput } from "./decoderLayer.ts";
import type { PredictionSet, Tap } from "./outputs.ts";

/** What queries go through decoder layers with. */
export interface DecoderPass {
  /** Queries [B, M, D]. */
  readonly content: Tensor;
  /** What they look around at first: boxes [B, M, 4] or points [B, M, 2], in 0–1. */
  readonly reference: Tensor;
  /** What they look at. */
  readonly attend: Pick<DecoderLayerInput, "value" | "levels" | "padding">;
  readonly attentionBias: Tensor | undefined;
  readonly tap: Tap | undefined;
  /** Added where a layer's queries are compared with others, or with tokens [B, M, D]. */
  position(layer: number, queries: { readonly x: Tensor; readonly reference: Tensor }): Tensor;
  /** The reference as cross-attention takes it; by default as it is. */
  around?(reference: Tensor): Tensor;
  /** Queries as heads see them; by default as they are. */
  see?(x: Tensor): Tensor;
  readonly refine: Refine;
  /** Whether a layer's predictions are wanted. */
  isWanted(layer: number): boolean;
  /** Whether the criterion is to judge them. */
  readonly training: boolean;
  /** Class logits [B, M, C] of a layer. */
  score(layer: number, seen: Tensor): Tensor;
  /** Class logits that its boxes have a say in; by default as they are. */
  rate?(layer: number, scores: Tensor, corners: Tensor | undefined): Tensor;
}

/** Predictions of the layers that were wanted. */
export interface LayerOutputs {
  readonly layers: PredictionSet[];
  /** Of the plain box head after the first layer, where there is one and the layer was wanted. */
  readonly pre?: PredictionSet;
}

/** Decoder layers, each refining the boxes of the one before. */
export function runLayers(decoder: readonly DecoderLayer[], pass: DecoderPass): LayerOutputs {
  const { attend, attentionBias, tap } = pass;
  const layers: PredictionSet[] = [];
  let before: PredictionSet | undefined;
  let { content: x, reference } = pass;
  for (const [i, layer] of decoder.entries()) {
    const position = pass.position(i, { x, reference });
    x = layer.call({ x, position, reference: pass.around?.(reference) ?? reference, ...attend, attentionBias });
    tap?.(`decoder.layer.${i}`, x);
    const seen = pass.see?.(x) ?? x;
    const { pre, predicted, next } = pass.refine(i, { x, seen }, reference);
    reference = next;
    if (!pass.isWanted(i)) continue;
    const scores = pass.score(i, seen);
    if (pre) before = { logits: scores, boxes: pre };
    const logits = pass.rate?.(i, scores, predicted.corners) ?? scores;
    layers.push({ logits, ...predicted, ...(pass.training ? { features: seen } : {}) });
  }
  return { layers, ...(before ? { pre: before } : {}) };
}
