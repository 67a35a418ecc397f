import { LayerNorm, Linear, Module } from "@dfine/nn";
import { concat, defineMap, split, type Tensor } from "@dfine/tensor";

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

/** How the cross-attention result [B, M, D] joins the query [B, M, D], and the module that stands for it in the state dict. */
export interface Fusion {
  readonly join: (query: Tensor, context: Tensor) => Tensor;
  readonly gateway?: Gate;
  readonly norm?: LayerNorm;
}

/** D-FINE's gate; or LN(query + context), as in DETR. */
export const FUSIONS = {
  gate: (features) => {
    const gateway = new Gate(features);
    return { gateway, join: (query, context) => gateway.call(query, context) };
  },
  residual: (features) => {
    const norm = new LayerNorm(features);
    return { norm, join: (query, context) => norm.call(query.add(context)) };
  },
} satisfies Record<string, (features: number) => Fusion>;
