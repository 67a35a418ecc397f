import { linear, matmul, scaledDotProductAttention, softmax, split, type Tensor } from "@dfine/tensor";
import { type Initializer, xavierUniform } from "../init.ts";
import { Module } from "../module.ts";
import { parameter } from "../parameter.ts";
import { Dropout } from "./dropout.ts";
import { Linear } from "./linear.ts";

/** What attention looks from, at and with. */
export interface AttentionInput {
  /** [B, L, D], also the keys. */
  readonly query: Tensor;
  /** [B, L, D] */
  readonly value: Tensor;
  /** Added to the scores [L, L] of query row and key column; −∞ blocks. */
  readonly bias?: Tensor | undefined;
}

/** Self-attention by several heads, with one packed weight for queries, keys and values. Vaswani et al. 2017, as PyTorch. */
export class MultiHeadAttention extends Module<[input: AttentionInput], Tensor> {
  readonly inProjWeight: Tensor;
  readonly inProjBias: Tensor;
  readonly outProj: Linear;
  /** Of the weights by which values are mixed. */
  readonly dropout = new Dropout();
  readonly #heads: number;

  /** `outInit` gives the last projection its first weight; by default as `Linear` does. */
  constructor(features: number, heads: number, { outInit }: { readonly outInit?: Initializer } = {}) {
    super();
    this.inProjWeight = parameter([3 * features, features], xavierUniform);
    this.inProjBias = parameter([3 * features], 0);
    this.outProj = new Linear(features, features, {
      biasInit: 0,
      ...(outInit === undefined ? {} : { weightInit: outInit }),
    });
    this.#heads = heads;
  }

  /** Heads of x [B, L, D] by each D rows of a weight, [B, heads, L, d]. */
  #project(x: Tensor, weight: Tensor, bias: Tensor): Tensor[] {
    const [batch, length, features] = x.shape as [number, number, number];
    const count = weight.shape[0]! / features;
    const parts = linear(x, weight, bias).reshape([batch, length, count, this.#heads, features / this.#heads]);
    return split(parts, new Array<number>(count).fill(1), 2).map((part) => part.squeeze(2).permute([0, 2, 1, 3]));
  }

  /** The same as `scaledDotProductAttention`, with some weights dropped, [B, heads, L, d]. */
  #mixedBySome([q, k, v]: readonly [Tensor, Tensor, Tensor], bias: Tensor | undefined): Tensor {
    const scores = matmul(q, k.transpose(-1, -2)).mul(1 / Math.sqrt(q.shape[3]!));
    return matmul(this.dropout.call(softmax(bias ? scores.add(bias) : scores), "weights"), v);
  }

  /** [B, L, D] */
  protected forward({ query, value, bias }: AttentionInput): Tensor {
    const features = query.shape[2]!;
    const ofQueryAndValue = (packed: Tensor) => split(packed, [2 * features, features]) as [Tensor, Tensor];
    const [weights, biases] = [ofQueryAndValue(this.inProjWeight), ofQueryAndValue(this.inProjBias)];
    const [q, k] = this.#project(query, weights[0], biases[0]) as [Tensor, Tensor];
    const [v] = this.#project(value, weights[1], biases[1]) as [Tensor];
    const mixed = this.dropout.isActive
      ? this.#mixedBySome([q, k, v], bias)
      : scaledDotProductAttention({ query: q, key: k, value: v }, bias ? { mask: bias } : {});
    return this.outProj.call(mixed.permute([0, 2, 1, 3]).reshape(value.shape));
  }
}
