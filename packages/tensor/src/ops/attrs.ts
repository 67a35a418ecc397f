import type { Activation } from "../kernel/activation.ts";

/** Attributes of the engine's own ops that a backend may override, by op name. Shapes and layouts are part of the contract. */
export interface EngineOps {
  /** a [..., M, K] · b [..., K, N] → [..., M, N]; batch axes broadcast (stride 0). Inputs may have any strides. */
  matmul: MatmulAttrs;
  /** x [B, Ci, H, W], weight [Co, Ci/groups, kh, kw] → [B, Co, Ho, Wo]. */
  conv2d: Conv2dAttrs;
  /**
   * conv2d with what follows it in inference, by `convEpilogue`: x, weight, bias [Co], then optionally factor [Co], then
   * optionally scale [1] and shift [1].
   */
  conv2dAct: Conv2dActAttrs;
  /** dy [B, Co, Ho, Wo], weight → dx [B, Ci, H, W]. */
  conv2dInputGrad: Conv2dInputGradAttrs;
  /** dy [B, Co, Ho, Wo], x [B, Ci, H, W] → dWeight [Co, Ci/groups, kh, kw]. */
  conv2dWeightGrad: Conv2dWeightGradAttrs;
  /** x [B, C, H, W] → values [B, C, Ho, Wo] and indices, i32, y·W + x of the first largest element (NaN counts as largest). */
  maxPool2d: MaxPool2dAttrs;
  /** dy [B, C, Ho, Wo], indices [B, C, Ho, Wo] → dx [B, C, H, W]. */
  maxPool2dGrad: { readonly inputSize: readonly [number, number] };
  /** x [R, D], index [K] i32 in 0…R−1 → [K, D]. */
  indexSelect: Record<never, never>;
  /** index [K] i32, updates [K, D] → [rows, D]: zeros plus the updates; an index outside 0…rows−1 is dropped. Added in ascending k. */
  indexAdd: { readonly rows: number };
  /** x [R, N] → values [R, k] descending and indices [R, k] i32; ties to the lower index; NaN counts as largest. */
  topK: { readonly k: number };
  /**
   * value [B, L, heads, d], locations [B, Q, heads, P, 2] (x, y in 0…1 of each level), weights [B, Q, heads, P]
   * → [B, Q, heads·d]. Levels follow each other along L, row-major; points follow each other by level along P.
   * bilinear: pixel x = loc·W − 0.5, four taps, zero outside. discrete: pixel trunc(loc·W + 0.5) clamped to 0…W−1 (H for y).
   */
  deformableSample: DeformableSampleAttrs;
  /** dy [B, Q, heads·d], value, locations, weights → dValue, dLocations, dWeights (zero dLocations when discrete). */
  deformableSampleGrad: DeformableSampleAttrs;
  /**
   * q [B, H, L, D], k [B, H, S, D], v [B, H, S, E], optionally bias [B, H, L, S], with any strides
   * → softmax(q · kᵀ · scale + bias) · v as [B, L, H, E].
   */
  scaledDotProductAttention: AttentionAttrs;
  /** dy [B, L, H, E], q, k, v, optionally bias, with any strides → dq [B, L, H, D], dk [B, S, H, D], dv [B, S, H, E]. */
  scaledDotProductAttentionGrad: AttentionAttrs;
}

/** Those, and ops from outside: whoever defines one adds it here. */
export interface OpAttrs extends EngineOps {}

/** Of `matmul`: none. */
export type MatmulAttrs = Record<never, never>;

/** Of `conv2d`. */
export interface Conv2dAttrs {
  readonly stride: readonly [number, number];
  /** top, left, bottom, right */
  readonly padding: readonly [number, number, number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
}
/** Of `conv2dAct`. */
export interface Conv2dActAttrs extends Conv2dAttrs {
  readonly activation: Activation;
}
/** Of `conv2dInputGrad`. */
export interface Conv2dInputGradAttrs extends Conv2dAttrs {
  /** H, W of the convolution's input. */
  readonly inputSize: readonly [number, number];
}
/** Of `conv2dWeightGrad`. */
export interface Conv2dWeightGradAttrs extends Conv2dAttrs {
  /** kh, kw */
  readonly kernelSize: readonly [number, number];
}
/** Of `maxPool2d`. */
export interface MaxPool2dAttrs {
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  /** top and bottom, left and right */
  readonly padding: readonly [number, number];
  readonly ceilMode: boolean;
}
/** Of `deformableSample` and its gradient. */
export interface DeformableSampleAttrs {
  readonly method: "bilinear" | "discrete";
  readonly levels: readonly DeformableLevel[];
}
/** Of `scaledDotProductAttention` and its gradient. */
export interface AttentionAttrs {
  /** What the scores are multiplied by. */
  readonly scale: number;
}
/** One level of the feature pyramid. */
export interface DeformableLevel {
  readonly height: number;
  readonly width: number;
  /** Sampling points per head and query on this level. */
  readonly points: number;
}
