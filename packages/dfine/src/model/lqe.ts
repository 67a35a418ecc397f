import { Mlp, Module } from "@dfine/nn";
import { concat, softmax, type Tensor, topK } from "@dfine/tensor";

/** Largest probabilities of an edge's distribution that tell how certain it is. */
const TOP = 4;
const HIDDEN = 64;

/**
 * Location quality estimator: adds one number per query, read off the shape of its edge distributions
 * [B, M, 4 · (regMax + 1)], to all its class logits [B, M, C].
 */
export class Lqe extends Module<[scores: Tensor, corners: Tensor], Tensor> {
  readonly regConf: Mlp;

  constructor() {
    super();
    const zero = { weightInit: 0, biasInit: 0 };
    this.regConf = new Mlp(4 * (TOP + 1), 1, { layers: 2, hidden: HIDDEN, last: zero });
  }

  protected forward(scores: Tensor, corners: Tensor): Tensor {
    const [batch, queries, bins] = corners.shape as [number, number, number];
    const probabilities = softmax(corners.reshape([batch, queries, 4, bins / 4]));
    const { values } = topK(probabilities, TOP);
    const statistics = concat([values, values.mean(-1, { keepDim: true })], -1);
    return scores.add(this.regConf.call(statistics.reshape([batch, queries, -1])));
  }
}
