import type { Tensor } from "@dfine/tensor";

/**
 * Sees intermediate tensors by name as they are computed: `backbone.i`, `encoder.i`, `topk_index`, `topk_score`,
 * `decoder.layer.i`, `decoder.corners_delta.i`. They are freed when the forward pass ends, unless kept.
 */
export type Tap = (name: string, tensor: Tensor) => void;

export const noTap: Tap = () => {};
