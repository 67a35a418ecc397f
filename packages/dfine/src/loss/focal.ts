import { arange, casesOf, defineRow, type Tensor } from "@dfine/tensor";
import { constant } from "@dfine/tensor/kernel";
import { type ClassPairs, sigmoidPower, softplus, sumOfJudged } from "./varifocal.ts";

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
      casesOf("2x3x5 1x4x17 0x3", (shape) => {
        const classes = shape.at(-1)!;
        const label = { shape: [...shape.slice(0, -1), 1], dtype: "i32", below: classes + 2 } as const;
        return {
          inputs: [{ shape }, label, { shape: [classes], dtype: "i32", below: classes }, 0.25, 2],
          run: (...inputs) => op(inputs, -1),
        };
      }),
  },
);

/** Sigmoid focal loss with one-hot targets, Σ over queries and classes → [S]. Lin et al. 2017. */
export function focalLoss(pairs: Omit<ClassPairs, "ious">): Tensor {
  const { logits, labels, alpha, gamma } = pairs;
  const position = arange(logits.shape.at(-1)!, { backend: logits.backend });
  return sumOfJudged(pairs, focalRow([logits, labels.unsqueeze(-1), position, alpha, gamma], -1)[0]!);
}
