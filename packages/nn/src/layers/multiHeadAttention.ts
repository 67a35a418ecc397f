import { defineRow, linear, matmul, type OpCase, type Tensor } from "@dfine/tensor";
import { xavierUniform } from "../init.ts";
import { Module } from "../module.ts";
import { parameter } from "../parameter.ts";
import { Linear } from "./linear.ts";

const attentionRow = defineRow(
  "attentionWeights",
  (row, scores, bias, scale) => {
    const biased = scores.mul(scale).add(bias);
    const e = biased.sub(row.max(biased)).exp();
    row.store(e.div(row.sum(e)));
  },
  {
    cases: () =>
      [
        [2, 3, 5, 7],
        [1, 1, 4, 33],
      ].map(
        (shape): OpCase => ({
          name: JSON.stringify(shape),
          inputs: [{ shape }, { shape: shape.slice(2) }],
          run: ([scores, bias]) => attentionRow([scores!, bias!, 0.25], -1),
          differentiable: true,
        }),
      ),
  },
);

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
  readonly #heads: number;

  constructor(features: number, heads: number) {
    super();
    this.inProjWeight = parameter([3 * features, features], xavierUniform);
    this.inProjBias = parameter([3 * features], 0);
    this.outProj = new Linear(features, features, { biasInit: 0 });
    this.#heads = heads;
  }

  /** Heads of the projection whose rows start at `start` features, [B, heads, L, d]. */
  #project(x: Tensor, part: { start: number; count: number }): Tensor[] {
    const [batch, length, features] = x.shape as [number, number, number];
    const rows = [{ start: part.start * features, end: (part.start + part.count) * features }];
    const y = linear(x, this.inProjWeight.slice(rows), this.inProjBias.slice(rows));
    const depth = features / this.#heads;
    const heads = y.reshape([batch, length, part.count, this.#heads, depth]).permute([2, 0, 3, 1, 4]);
    return Array.from({ length: part.count }, (_, i) => heads.slice([{ start: i, end: i + 1 }]).squeeze(0));
  }

  /** [B, L, D] */
  protected forward({ query, value, bias }: AttentionInput): Tensor {
    const [q, k] = this.#project(query, { start: 0, count: 2 }) as [Tensor, Tensor];
    const [v] = this.#project(value, { start: 2, count: 1 }) as [Tensor];
    const scores = matmul(q, k.transpose(-1, -2));
    const weights = attentionRow([scores, bias ?? 0, 1 / Math.sqrt(q.shape[3]!)], -1)[0]!;
    const mixed = matmul(weights, v).permute([0, 2, 1, 3]).reshape(value.shape);
    return this.outProj.call(mixed);
  }
}
