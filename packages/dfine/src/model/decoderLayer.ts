import { LayerNorm, Linear, Module, MultiHeadAttention, xavierUniform } from "@dfine/nn";
import { clamp, type Tensor } from "@dfine/tensor";
import type { DecoderConfig } from "./decoderConfig.ts";
import { DeformableAttention } from "./deformableAttention.ts";
import { FUSIONS, type Fusion } from "./fusions.ts";
import type { LevelSize } from "./levelCache.ts";

/** Largest float16: the official model limits activations to it before the last norm. */
const LIMIT = 65504;

export interface DecoderLayerInput {
  /** Queries [B, M, D]. */
  readonly x: Tensor;
  /** [B, M, D], added where queries and keys are compared. */
  readonly position: Tensor;
  /** Boxes [B, M, 4], cxcywh in 0–1. */
  readonly reference: Tensor;
  /** Tokens of all levels [B, N, heads, D / heads]; [B, N, D] where attention projects them. */
  readonly value: Tensor;
  readonly levels: readonly LevelSize[];
  /** [M, M]; −∞ where the row's query may not see the column's. */
  readonly attentionBias?: Tensor | undefined;
}

/** Self-attention, deformable cross-attention, fusion, feed-forward; norms follow. → [B, M, D] */
export class DecoderLayer extends Module<[input: DecoderLayerInput], Tensor> {
  readonly selfAttn: MultiHeadAttention;
  readonly norm1: LayerNorm;
  readonly crossAttn: DeformableAttention;
  /** One of them, by the kind of fusion. */
  readonly gateway: Fusion["gateway"];
  readonly norm2: Fusion["norm2"];
  readonly linear1: Linear;
  readonly linear2: Linear;
  readonly norm3: LayerNorm;
  readonly #join: Fusion["join"];

  constructor(config: DecoderConfig) {
    super();
    const { hiddenDim, heads, feedForwardDim, fusion } = config;
    const { gateway, norm2, join }: Fusion = FUSIONS[fusion](hiddenDim);
    this.selfAttn = new MultiHeadAttention(hiddenDim, heads);
    this.norm1 = new LayerNorm(hiddenDim);
    this.crossAttn = new DeformableAttention(hiddenDim, {
      ...{ heads, points: config.points, offsetScale: config.offsetScale },
      method: config.crossAttention === "discrete" ? "discrete" : "bilinear",
      projections: config.attentionProjections,
      storesPointScale: true,
    });
    this.gateway = gateway;
    this.norm2 = norm2;
    this.linear1 = new Linear(hiddenDim, feedForwardDim, { activation: "relu", weightInit: xavierUniform });
    this.linear2 = new Linear(feedForwardDim, hiddenDim, { weightInit: xavierUniform });
    this.norm3 = new LayerNorm(hiddenDim);
    this.#join = join;
  }

  protected forward(input: DecoderLayerInput): Tensor {
    const { x, position, reference, value, levels, attentionBias } = input;
    const attended = this.selfAttn.call({ query: x.add(position), value: x, bias: attentionBias });
    const query = this.norm1.call(x.add(attended));
    const context = this.crossAttn.call({ query: query.add(position), reference, value, levels });
    const fused = this.#join(query, context);
    const transformed = this.linear2.call(this.linear1.call(fused));
    return this.norm3.call(clamp(fused.add(transformed), -LIMIT, LIMIT));
  }
}
