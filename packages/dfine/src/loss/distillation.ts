import { amax, casesOf, defineMap, defineRow, equal, noGrad, type Tensor, where } from "@dfine/tensor";
import { sumPerSet } from "./perSet.ts";

// Row: the bins of one edge. Stored: the weighted divergence, and the largest difference between student and teacher.
const divergenceRow = defineRow(
  "distillationLoss",
  (row, student, teacher, weight, temperature) => {
    const logSoftmax = (logits: typeof student) => {
      const scaled = logits.div(temperature);
      const shifted = scaled.sub(row.max(scaled));
      return shifted.sub(row.sum(shifted.exp()).log());
    };
    const wanted = logSoftmax(teacher);
    const divergence = row.sum(wanted.exp().mul(wanted.sub(logSoftmax(student))));
    row.storeRow(divergence.mul(weight).mul(temperature).mul(temperature));
    row.storeRow(row.max(student.sub(teacher).abs()));
  },
  {
    takes: ["student", "teacher", "weight", "temperature"],
    cases: (op) =>
      casesOf("2x3x5 1x4x33 0x3", (shape) => ({
        inputs: [{ shape }, { shape }, { shape: [...shape.slice(0, -1), 1], range: [0, 1] }, 5],
        run: (...inputs) => op(inputs, -1).slice(0, 1),
      })),
  },
);

const rowWeightMap = defineMap(
  "distillationWeight",
  (iou, confidence, label, matched, unmatched) =>
    label.lt(0).select(confidence.sigmoid().mul(unmatched), iou.mul(matched)),
  {
    inputs: [[0, 1], [-4, 4], "i32", 0.5, 0.25],
    differentiable: false,
  },
);

/**
 * T²·KL(teacher ‖ student) of each edge's distribution at temperature T times `weight` [S or 1, B, Q], and the largest difference of
 * their logits: [S, B, Q, 4, 1] each. Corners are [S or 1, B, Q, 4·(regMax + 1)]; the teacher gets no gradient.
 */
export function edgeDivergence(given: {
  readonly student: Tensor;
  readonly teacher: Tensor;
  readonly weight: Tensor;
  readonly temperature: number;
}): [divergence: Tensor, difference: Tensor] {
  const { student, teacher, weight, temperature } = given;
  const edges = (corners: Tensor): Tensor =>
    corners.reshape([...corners.shape.slice(0, -1), 4, corners.shape.at(-1)! / 4]);
  const perEdge = weight.unsqueeze(-1).unsqueeze(-1);
  return divergenceRow([edges(student), edges(teacher.detach()), perEdge, temperature], -1) as [Tensor, Tensor];
}

/** Queries over all images, and those among them that have a target. */
export interface QueryCounts {
  readonly matched: number;
  readonly queries: number;
}

/**
 * Factors that turn sums over matched and unmatched rows into D-FINE's balanced sum of their means; a kind without rows
 * counts as 0. What balances the means is √ of the rows of each kind, per image and times 8, among the `ordinary` queries,
 * also for denoising ones.
 */
export function distillationBalance({ matched, queries }: QueryCounts, ordinary: QueryCounts, images: number) {
  const root = (count: number) => Math.sqrt((4 * count * 8) / images);
  const [positive, negative] = [root(ordinary.matched), root(ordinary.queries - ordinary.matched)];
  const whole = positive + negative;
  const factor = (count: number, rows: number) => (rows === 0 || whole === 0 ? 0 : count / (4 * rows * whole));
  return { matched: factor(positive, matched), unmatched: factor(negative, queries - matched) };
}

export interface DistillationInputs {
  /** Logits [S, B, Q, 4·(regMax + 1)] of the layers that learn. */
  readonly student: Tensor;
  /** The last layer's corners and class logits, [S or 1, B, Q, …]. */
  readonly teacher: { readonly corners: Tensor; readonly logits: Tensor };
  /** IoU of the student's box with its target, [S or 1, B, Q]. */
  readonly ious: Tensor;
  /** [S or 1, B, Q], negative for queries without a target. */
  readonly labels: Tensor;
  /** Shares of matched and unmatched queries, per row of bins. */
  readonly balance: ReturnType<typeof distillationBalance>;
  readonly temperature: number;
}

/**
 * Decoupled distillation focal loss → [S]: T²·KL(teacher ‖ student) of each edge's distribution at temperature T, weighted
 * by the IoU of matched queries and by the teacher's confidence in all others. Gradients reach the student's corners only.
 * A set that equals its teacher element by element gives exactly 0. D-FINE §4.2, eq. 6.
 */
export function distillationLoss(inputs: DistillationInputs): Tensor {
  const { student, teacher, ious, labels, balance, temperature } = inputs;
  const weight = noGrad(() => {
    const confidence = amax(teacher.logits, -1);
    return rowWeightMap(ious, confidence, labels, balance.matched, balance.unmatched);
  });
  const [divergence, difference] = edgeDivergence({ student, teacher: teacher.corners, weight, temperature });
  const equals = noGrad(() => equal(amax(amax(difference.detach(), [2, 3, 4]), 1), 0));
  return where(equals, 0, sumPerSet(divergence));
}
