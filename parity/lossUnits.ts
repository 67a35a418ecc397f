import { backward, type Tensor, tensor } from "@dfine/tensor";
import { distanceToBox } from "../packages/dfine/src/boxes.ts";
import { giouLoss, l1Loss, matchedIou } from "../packages/dfine/src/loss/boxOverlap.ts";
import { denseEdgeTargets, denseTargets } from "../packages/dfine/src/loss/denseTargets.ts";
import { distillationBalance, distillationLoss } from "../packages/dfine/src/loss/distillation.ts";
import { fineGrainedLoss } from "../packages/dfine/src/loss/fineGrained.ts";
import { focalLoss } from "../packages/dfine/src/loss/focal.ts";
import { pairCount } from "../packages/dfine/src/loss/setGroup.ts";
import { varifocalLoss } from "../packages/dfine/src/loss/varifocal.ts";
import { integral } from "../packages/dfine/src/model/integral.ts";
import { weightingFunction } from "../packages/dfine/src/model/weighting.ts";
import { unitError } from "./compare.ts";
import { type IndexPair, type JsonTargets, toPairs, toTargets } from "./hostUnits.ts";
import type { JsonTensor } from "./pack.ts";
import { toTensor } from "./target.ts";
import { type Measure, perCase } from "./unit.ts";

interface LossValue {
  readonly value: number;
  readonly grad_logits: JsonTensor | null;
  readonly grad_corners: JsonTensor | null;
}

interface LossUnit {
  readonly num_boxes: number;
  readonly logits: JsonTensor;
  readonly ref_cxcywh: JsonTensor;
  readonly corners: JsonTensor;
  readonly teacher_corners: JsonTensor;
  readonly teacher_logits: JsonTensor;
  readonly boxes_cxcywh: JsonTensor;
  readonly targets: readonly JsonTargets[];
  readonly indices: readonly IndexPair[];
  readonly alpha: number;
  readonly gamma: number;
  readonly losses: Readonly<Record<string, LossValue>>;
}

/** The README's: up 0.5, reg_scale 4, reg_max 32, temperature 5. */
const WEIGHTING = { regMax: 32, regScale: 4, up: 0.5 };
const TEMPERATURE = 5;

/** The unit's losses by official name, with the leaves that they depend on. */
function lossesOf(unit: LossUnit) {
  const [logits, corners] = [toTensor(unit.logits), toTensor(unit.corners)];
  for (const leaf of [logits, corners]) leaf.requiresGrad = true;
  const weights = tensor(weightingFunction(WEIGHTING));
  const predicted = distanceToBox(toTensor(unit.ref_cxcywh), integral(corners, weights), WEIGHTING.regScale);
  const targets = unit.targets.map(toTargets);
  const matches = [unit.indices.map(toPairs)];
  const [images, numQueries] = unit.logits.shape as [number, number];
  const boxes = predicted.unsqueeze(0);
  const pairs = { boxes, ...denseTargets(matches, targets, boxes) };
  const { labels } = pairs;
  const ious = matchedIou(pairs);
  const refPoints = Float64Array.from(unit.ref_cxcywh.data);
  const edges = denseEdgeTargets(matches, targets, { refPoints, weighting: WEIGHTING, like: boxes });
  const classes = { logits: logits.unsqueeze(0), labels, alpha: unit.alpha, gamma: unit.gamma };
  const counts = { matched: pairCount(matches[0]!), queries: images * numQueries };
  const perBox = (loss: Tensor) => loss.sum().div(unit.num_boxes);
  const losses: Record<string, () => Tensor> = {
    loss_vfl: () => perBox(varifocalLoss({ ...classes, ious })),
    loss_focal: () => perBox(focalLoss(classes)),
    loss_bbox: () => perBox(l1Loss(pairs)),
    loss_giou: () => perBox(giouLoss(pairs)),
    loss_fgl: () => perBox(fineGrainedLoss(corners.unsqueeze(0), edges, ious)),
    loss_ddf: () =>
      distillationLoss({
        student: corners.unsqueeze(0),
        teacher: {
          corners: toTensor(unit.teacher_corners).unsqueeze(0),
          logits: toTensor(unit.teacher_logits).unsqueeze(0),
        },
        ious,
        labels,
        balance: distillationBalance(counts, counts, images),
        temperature: TEMPERATURE,
      }).sum(),
  };
  return { logits, corners, predicted, losses };
}

/** Every loss by itself, unweighted, with its gradients. */
export const lossUnits = perCase<LossUnit>({
  ...{ file: "units/losses.json", on: "tensors" },
  async measures(unit) {
    const measures: Measure[] = [];
    for (const [name, expected] of Object.entries(unit.losses)) {
      // The tape is used up by each loss, so each starts from the leaves.
      const { logits, corners, predicted, losses } = lossesOf(unit);
      if (measures.length === 0)
        measures.push({ name: "boxes", error: unitError(await predicted.data(), unit.boxes_cxcywh.data) });
      const compute = losses[name];
      if (!compute) throw new Error(`loss ${name} is unknown here: add it to parity/lossUnits.ts`);
      const loss = compute();
      const errors = [unitError([await loss.item()], [expected.value])];
      backward(loss);
      for (const [leaf, gradient] of [
        [logits, expected.grad_logits],
        [corners, expected.grad_corners],
      ] as const) {
        if (gradient) errors.push(unitError((await leaf.grad?.data()) ?? gradient.data.map(() => 0), gradient.data));
        leaf.grad = undefined;
      }
      measures.push({ name, error: Math.max(...errors) });
    }
    return measures;
  },
});
