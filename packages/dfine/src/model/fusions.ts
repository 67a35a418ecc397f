import { LayerNorm, Linear, Module, parameter } from "@dfine/nn";
import { concat, defineMap, layerNorm, split, type Tensor } from "@dfine/tensor";

/** How the cross-attention result [B, M, D] joins the query [B, M, D]. */
export type Fusion = Module<[query: Tensor, context: Tensor], Tensor>;

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
export const FUSIONS = {
  gate: (features) => ({ name: "gateway", module: new Gate(features) }),
  residual: (features) => ({ name: "norm2", module: new ResidualNorm(features) }),
} satisfies Record<string, (features: number) => { name: "gateway" | "norm2"; module: Fusion }>;
