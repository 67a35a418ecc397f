import { Dropout, type Initializer, LayerNorm, Linear, Module, MultiHeadAttention, xavierUniform } from "@dfine/nn";
import { clamp, type Tensor } from "@dfine/tensor";
import { DeformableAttention, type DeformableOptions } from "./deformableAttention.ts";
import { FUSIONS, type Fusion } from "./fusions.ts";
import type { LevelSize } from "./levelCache.ts";

/** Largest float16: the official model limits activations to it before the last norm. */
const LIMIT = 65504;

/** What distinguishes the layers of D-FINE and other DETRs. */
export interface DecoderLayerOptions {
  readonly hiddenDim: number;
  readonly feedForwardDim: number;
  readonly attention: DeformableOptions;
  readonly fusion: keyof typeof FUSIONS;
  /** Whether the norm behind cross-attention is called norm1, and the one behind self-attention norm2; default false. */
  readonly crossNormFirst?: boolean;
  /** Of the last projection of self-attention; by default that of `MultiHeadAttention`. */
  readonly outInit?: Initializer;
}

export interface DecoderLayerInput {
  /** Queries [B, M, D]. */
  readonly x: Tensor;
  /** [B, M, D], added where queries and keys are compared. */
  readonly position: Tensor;
  /** As deformable attention takes it. */
  readonly reference: Tensor;
  /** Tokens of all levels [B, N, heads, D / heads]; [B, N, D] where attention projects them. */
  readonly value: Tensor;
  readonly levels: readonly LevelSize[];
  /** Tokens that count as zero [B, N], bool. */
  readonly padding?: Tensor | undefined;
  /** [M, M]; −∞ where the row's query may not see the column's. */
  readonly attentionBias?: Tensor | undefined;
}

/** Self-attention, deformable cross-attention, fusion, feed-forward; norms follow. → [B, M, D] */
export class DecoderLayer extends Module<[input: DecoderLayerInput], Tensor> {
  readonly selfAttn: MultiHeadAttention;
  readonly norm1: LayerNorm | undefined;
  readonly crossAttn: DeformableAttention;
  readonly gateway: Fusion["gateway"];
  readonly norm2: LayerNorm | undefined;
  readonly linear1: Linear;
  readonly linear2: Linear;
  readonly norm3: LayerNorm;
  readonly dropout = new Dropout();
  readonly #selfNorm: LayerNorm;
  readonly #join: Fusion["join"];

  constructor({ hiddenDim, feedForwardDim, attention, fusion, crossNormFirst = false, ...init }: DecoderLayerOptions) {
    super();
    const { gateway, norm, join }: Fusion = FUSIONS[fusion](hiddenDim);
    this.#selfNorm = new LayerNorm(hiddenDim);
    this.selfAttn = new MultiHeadAttention(hiddenDim, attention.heads, init);
    this.crossAttn = new DeformableAttention(hiddenDim, attention);
    this.gateway = gateway;
    [this.norm1, this.norm2] = crossNormFirst ? [norm, this.#selfNorm] : [this.#selfNorm, norm];
    this.linear1 = new Linear(hiddenDim, feedForwardDim, { activation: "relu", weightInit: xavierUniform });
    this.linear2 = new Linear(feedForwardDim, hiddenDim, { weightInit: xavierUniform });
    this.norm3 = new LayerNorm(hiddenDim);
    this.#join = join;
  }

  protected forward(input: DecoderLayerInput): Tensor {
    const { x, position, reference, value, levels, padding, attentionBias } = input;
    const { dropout } = this;
    const attended = this.selfAttn.call({ query: x.add(position), value: x, bias: attentionBias });
    const query = this.#selfNorm.call(x.add(dropout.call(attended, "self-attention")));
    const context = this.crossAttn.call({ query: query.add(position), reference, value, levels, padding });
    const fused = this.#join(query, dropout.call(context, "cross-attention"));
    const transformed = this.linear2.call(dropout.call(this.linear1.call(fused), "hidden"));
    return this.norm3.call(clamp(fused.add(dropout.call(transformed, "feed-forward")), -LIMIT, LIMIT));
  }
}
