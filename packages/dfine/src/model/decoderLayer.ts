import { LayerNorm, Linear, Module, MultiHeadAttention, parameter, xavierUniform } from "@dfine/nn";
import { clamp, concat, defineMap, layerNorm, split, type Tensor } from "@dfine/tensor";
import type { DecoderConfig } from "../config/config.ts";
import type { LevelSize } from "./anchors.ts";
import { DeformableAttention } from "./deformableAttention.ts";

/** How the cross-attention result [B, M, D] joins the query [B, M, D]. */
type Fusion = Module<[query: Tensor, context: Tensor], Tensor>;

const gateMix = defineMap("gateMix", (a, b, gateA, gateB) => gateA.sigmoid().mul(a).add(gateB.sigmoid().mul(b)));

/** LN(σ(g1) ⊙ query + σ(g2) ⊙ context), both gates from both inputs. D-FINE's target gating layer. */
class Gate extends Module<[query: Tensor, context: Tensor], Tensor> {
  readonly gate: Linear;
  readonly norm: LayerNorm;

  constructor(features: number) {
    super();
    this.gate = new Linear(2 * features, 2 * features, { weightInit: 0, biasInit: 0 });
    this.norm = new LayerNorm(features);
  }

  protected forward(query: Tensor, context: Tensor): Tensor {
    const features = query.shape[2]!;
    const gates = this.gate.call(concat([query, context], -1));
    const [own, other] = split(gates, [features, features], -1) as [Tensor, Tensor];
    return this.norm.call(gateMix(query, context, own, other));
  }
}

/** LN(query + context), as in DETR. */
class ResidualNorm extends Module<[query: Tensor, context: Tensor], Tensor> {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(features: number) {
    super();
    this.weight = parameter([features], 1);
    this.bias = parameter([features], 0);
  }

  protected forward(query: Tensor, context: Tensor): Tensor {
    return layerNorm(query.add(context), { weight: this.weight, bias: this.bias });
  }
}

/** The name under which a fusion stands in the state dict, and the fusion. */
const FUSIONS: Record<DecoderConfig["fusion"], (features: number) => { gateway?: Fusion; norm2?: Fusion }> = {
  gate: (features) => ({ gateway: new Gate(features) }),
  residual: (features) => ({ norm2: new ResidualNorm(features) }),
};

/** Largest float16: the official model limits activations to it before the last norm. */
const LIMIT = 65504;

export interface DecoderLayerInput {
  /** Queries [B, M, D]. */
  readonly x: Tensor;
  /** [B, M, D], added where queries and keys are compared. */
  readonly position: Tensor;
  /** Boxes [B, M, 4], cxcywh in 0–1. */
  readonly reference: Tensor;
  /** Tokens of all levels [B, N, heads, D / heads]. */
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
  readonly gateway: Fusion | undefined;
  readonly norm2: Fusion | undefined;
  readonly linear1: Linear;
  readonly linear2: Linear;
  readonly norm3: LayerNorm;
  readonly #fusion: Fusion;

  constructor(config: DecoderConfig) {
    super();
    const { hiddenDim, heads, feedForwardDim, fusion } = config;
    const { gateway, norm2 } = FUSIONS[fusion](hiddenDim);
    this.selfAttn = new MultiHeadAttention(hiddenDim, heads);
    this.norm1 = new LayerNorm(hiddenDim);
    this.crossAttn = new DeformableAttention(config);
    this.gateway = gateway;
    this.norm2 = norm2;
    this.linear1 = new Linear(hiddenDim, feedForwardDim, { activation: "relu", weightInit: xavierUniform });
    this.linear2 = new Linear(feedForwardDim, hiddenDim, { weightInit: xavierUniform });
    this.norm3 = new LayerNorm(hiddenDim);
    this.#fusion = (gateway ?? norm2)!;
  }

  protected forward(input: DecoderLayerInput): Tensor {
    const { x, position, reference, value, levels, attentionBias } = input;
    const attended = this.selfAttn.call({ query: x.add(position), value: x, bias: attentionBias });
    const query = this.norm1.call(x.add(attended));
    const context = this.crossAttn.call({ query: query.add(position), reference, value, levels });
    const fused = this.#fusion.call(query, context);
    const transformed = this.linear2.call(this.linear1.call(fused));
    return this.norm3.call(clamp(fused.add(transformed), -LIMIT, LIMIT));
  }
}
