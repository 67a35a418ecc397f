import { Dropout, type Initializer, LayerNorm, Linear, Module } from "@dfine/nn";
import type { Tensor } from "@dfine/tensor";
import type { Activation } from "@dfine/tensor/kernel";

/** What distinguishes the layers of D-FINE and other DETRs, besides their attention. */
export interface EncoderLayerOptions {
  readonly hiddenDim: number;
  readonly feedForwardDim: number;
  readonly activation: Activation;
  /** Of the feed-forward weights; by default that of `Linear`. */
  readonly weightInit?: Initializer;
}

/** Post-norm transformer layer: x [B, L, E] and what its attention gives for it [B, L, E] → [B, L, E]. */
export class EncoderLayer<Attention extends Module> extends Module<
  [x: Tensor, attend: (attention: Attention) => Tensor],
  Tensor
> {
  readonly selfAttn: Attention;
  readonly linear1: Linear;
  readonly linear2: Linear;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly dropout = new Dropout();

  constructor(attention: Attention, { hiddenDim, feedForwardDim, activation, ...init }: EncoderLayerOptions) {
    super();
    this.selfAttn = attention;
    this.linear1 = new Linear(hiddenDim, feedForwardDim, { activation, ...init });
    this.linear2 = new Linear(feedForwardDim, hiddenDim, init);
    this.norm1 = new LayerNorm(hiddenDim);
    this.norm2 = new LayerNorm(hiddenDim);
  }

  protected forward(x: Tensor, attend: (attention: Attention) => Tensor): Tensor {
    const { dropout } = this;
    const attended = this.norm1.call(x.add(dropout.call(attend(this.selfAttn), "attention")));
    const transformed = this.linear2.call(dropout.call(this.linear1.call(attended), "hidden"));
    return this.norm2.call(attended.add(dropout.call(transformed, "feed-forward")));
  }
}
