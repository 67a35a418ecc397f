import { arange, casesOf, defineRow, type Tensor } from "@dfine/tensor";
import { constant, type Expr } from "@dfine/tensor/kernel";
import { sumPerSet } from "./perSet.ts";

/** ln(1 + eˣ) without overflow. */
const softplus = (x: Expr): Expr => x.max(0).add(x.abs().neg().exp().add(1).log());

/** Binary cross-entropy of a logit with a target in 0…1. */
const binaryCrossEntropy = (x: Expr, target: Expr): Expr => softplus(x).sub(x.mul(target));

/** σ(x)^γ, through the logarithm so that γ may be any number. */
const sigmoidPower = (x: Expr, gamma: Expr): Expr => softplus(x.neg()).mul(gamma).neg().exp();

const SHAPES = "2x3x5 1x4x17 0x3";
const caseInputs = (shape: readonly number[]) => {
  const rows = [...shape.slice(0, -1), 1];
  const classes = shape.at(-1)!;
  return {
    logits: { shape },
    label: { shape: rows, dtype: "i32", below: classes + 2 },
    iou: { shape: rows, range: [0, 1] },
    classes: { shape: [classes], dtype: "i32", below: classes },
  } as const;
};

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
      casesOf(SHAPES, (shape) => {
        const { logits, label, iou, classes } = caseInputs(shape);
        return {
          inputs: [logits, logits, label, iou, classes, 0.75, 2],
          run: (...inputs) => op(inputs, -1),
        };
      }),
  },
);

const focalRow = defineRow(
  "focalLoss",
  (row, logits, label, position, alpha, gamma) => {
    const isTarget = label.eq(position);
    // 1 − p of the right answer is the sigmoid of the logit with its sign turned.
    const wrong = isTarget.select(logits.neg(), logits);
    const share = isTarget.select(alpha, constant(1).sub(alpha));
    row.storeRow(row.sum(share.mul(sigmoidPower(wrong, gamma)).mul(softplus(wrong))));
  },
  {
    takes: { logits: "f32", label: "i32", position: "i32", alpha: "f32", gamma: "f32" },
    cases: (op) =>
      casesOf(SHAPES, (shape) => {
        const { logits, label, classes } = caseInputs(shape);
        return {
          inputs: [logits, label, classes, 0.25, 2],
          run: (...inputs) => op(inputs, -1),
        };
      }),
  },
);

/** Logits of S sets with the class of each query. */
export interface ClassPairs {
  /** [S, B, Q, C] */
  readonly logits: Tensor;
  /** [S or 1, B, Q], i32; negative for queries without a target. */
  readonly labels: Tensor;
  readonly alpha: number;
  readonly gamma: number;
}

const positions = (logits: Tensor): Tensor => arange(logits.shape.at(-1)!, { backend: logits.backend });

/**
 * Varifocal loss, Σ over queries and classes → [S]. The target class of a matched query weighs and aims at its IoU,
 * `ious` [S or 1, B, Q]; all others weigh α·p^γ and aim at 0. Neither weight nor target has a gradient. Zhang et al. 2021,
 * D-FINE's `loss_labels_vfl`.
 */
export function varifocalLoss({ logits, labels, alpha, gamma, ious }: ClassPairs & { readonly ious: Tensor }): Tensor {
  const inputs = [logits, logits.detach(), labels.unsqueeze(-1), ious.detach().unsqueeze(-1), positions(logits)];
  return sumPerSet(varifocalRow([...inputs, alpha, gamma], -1)[0]!);
}

/** Sigmoid focal loss with one-hot targets, Σ over queries and classes → [S]. Lin et al. 2017. */
export const focalLoss = ({ logits, labels, alpha, gamma }: ClassPairs): Tensor =>
  sumPerSet(focalRow([logits, labels.unsqueeze(-1), positions(logits), alpha, gamma], -1)[0]!);
