import { arange, casesOf, defineRow, type Tensor } from "@dfine/tensor";
import type { Expr } from "@dfine/tensor/kernel";
import { matchedOnly } from "./boxOverlap.ts";
import { sumPerSet } from "./perSet.ts";

/** ln(1 + eˣ) without overflow. */
export const softplus = (x: Expr): Expr => x.max(0).add(x.abs().neg().exp().add(1).log());

/** Binary cross-entropy of a logit with a target in 0…1. */
const binaryCrossEntropy = (x: Expr, target: Expr): Expr => softplus(x).sub(x.mul(target));

/** σ(x)^γ, through the logarithm so that γ may be any number. */
export const sigmoidPower = (x: Expr, gamma: Expr): Expr => softplus(x.neg()).mul(gamma).neg().exp();

// `frozen` are the logits again, cut off from the tape: the weight has no gradient.
const varifocalRow = defineRow(
  "varifocalLoss",
  (row, logits, frozen, label, iou, position, alpha, gamma) => {
    const isTarget = label.eq(position);
    const quality = isTarget.select(iou, 0);
    const weight = isTarget.select(0, sigmoidPower(frozen, gamma).mul(alpha)).add(quality);
    row.storeRow(row.sum(weight.mul(binaryCrossEntropy(logits, quality))));
  },
  {
    takes: { logits: "f32", frozen: "f32", label: "i32", iou: "f32", position: "i32", alpha: "f32", gamma: "f32" },
    cases: (op) =>
      casesOf("2x3x5 1x4x17 0x3", (shape) => {
        const [rows, classes] = [[...shape.slice(0, -1), 1], shape.at(-1)!];
        const label = { shape: rows, dtype: "i32", below: classes + 2 } as const;
        const position = { shape: [classes], dtype: "i32", below: classes } as const;
        return {
          inputs: [{ shape }, { shape }, label, { shape: rows, range: [0, 1] }, position, 0.75, 2],
          run: (...inputs) => op(inputs, -1),
        };
      }),
  },
);

/** Logits of S sets with the class of each query, and its IoU. */
export interface ClassPairs {
  /** [S, B, Q, C] */
  readonly logits: Tensor;
  /** [S or 1, B, Q], i32; negative for queries without a target. */
  readonly labels: Tensor;
  /** [S or 1, B, Q] */
  readonly ious: Tensor;
  readonly alpha: number;
  readonly gamma: number;
  /** Whether queries without a target are padding, which is not judged. Default false: they are background. */
  readonly isPadded?: boolean;
}

/** Σ of losses [S, B, Q, 1] over the queries that are judged → [S]. */
export const sumOfJudged = ({ labels, isPadded = false }: Omit<ClassPairs, "ious">, losses: Tensor): Tensor =>
  sumPerSet(isPadded ? matchedOnly(labels.unsqueeze(-1), losses) : losses);

/**
 * Varifocal loss, Σ over queries and classes → [S]. The target class of a matched query weighs and aims at its IoU,
 * `ious` [S or 1, B, Q]; all others weigh α·p^γ and aim at 0. Neither weight nor target has a gradient. Zhang et al. 2021,
 * D-FINE's `loss_labels_vfl`.
 */
export function varifocalLoss(pairs: ClassPairs): Tensor {
  const { logits, labels, alpha, gamma, ious } = pairs;
  const position = arange(logits.shape.at(-1)!, { backend: logits.backend });
  const inputs = [logits, logits.detach(), labels.unsqueeze(-1), ious.detach().unsqueeze(-1), position];
  return sumOfJudged(pairs, varifocalRow([...inputs, alpha, gamma], -1)[0]!);
}
