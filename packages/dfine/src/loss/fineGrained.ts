import { arange, casesOf, defineRow, type Tensor } from "@dfine/tensor";
import { sumPerSet } from "./perSet.ts";

// Row: the bins of one edge. Both cross-entropies share one log-sum-exp.
const fineGrainedRow = defineRow(
  "fineGrainedLoss",
  (row, logits, bin, weightLeft, weightRight, weight, position) => {
    const shifted = logits.sub(row.max(logits));
    const logSum = row.sum(shifted.exp()).log();
    const share = position
      .eq(bin)
      .select(weightLeft, 0)
      .add(position.eq(bin.add(1)).select(weightRight, 0));
    const picked = row.sum(share.mul(shifted));
    row.storeRow(weightLeft.add(weightRight).mul(logSum).sub(picked).mul(weight));
  },
  {
    takes: { logits: "f32", bin: "i32", weightLeft: "f32", weightRight: "f32", weight: "f32", position: "i32" },
    cases: (op) =>
      casesOf("2x3x5 1x4x33 0x3", (shape) => {
        const rows = [...shape.slice(0, -1), 1];
        const share = { shape: rows, range: [0, 1] } as const;
        return {
          inputs: [{ shape }, { shape: rows, dtype: "i32", below: shape.at(-1)! - 1 }, share, share, share],
          run: (logits, ...targets) => op([logits, ...targets, positions(logits)], -1),
        };
      }),
  },
);

const positions = (rows: Tensor): Tensor => arange(rows.shape.at(-1)!, { backend: rows.backend });

/** Where each edge's target lies between two bins, [S or 1, B, Q, 4]; both weights are 0 for queries without a target. */
export interface EdgeTargets {
  /** Left bin, i32. */
  readonly bins: Tensor;
  readonly weightLeft: Tensor;
  readonly weightRight: Tensor;
}

/**
 * Fine-grained localisation loss: cross-entropy of each edge's distribution with its two neighbouring bins, weighted by
 * `weights` [S or 1, B, Q] (IoU of the query's box, no gradient), Σ over queries and edges → [S]. `corners` are
 * [S, B, Q, 4·(regMax + 1)] logits. D-FINE §4.1, eq. 5.
 */
export function fineGrainedLoss(corners: Tensor, targets: EdgeTargets, weights: Tensor): Tensor {
  const { bins, weightLeft, weightRight } = targets;
  const rows = corners.reshape([...corners.shape.slice(0, -1), 4, corners.shape.at(-1)! / 4]);
  const perEdge = [bins, weightLeft, weightRight].map((t) => t.unsqueeze(-1));
  const weight = weights.detach().unsqueeze(-1).unsqueeze(-1);
  return sumPerSet(fineGrainedRow([rows, ...perEdge, weight, positions(rows)], -1)[0]!);
}
