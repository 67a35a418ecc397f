import { minimum, stack, type Tensor } from "@dfine/tensor";
import type { CriterionConfig } from "../config/config.ts";
import type { WeightingParameters } from "../model/weighting.ts";
import { type BoxPairs, giouLoss, l1Loss } from "./boxOverlap.ts";
import { denseEdgeTargets } from "./denseTargets.ts";
import { DISTILLATIONS } from "./distillations.ts";
import { fineGrainedLoss } from "./fineGrained.ts";
import { focalLoss } from "./focal.ts";
import { takeSets } from "./perSet.ts";
import { SET_NAMES } from "./predictionSets.ts";
import { indicesWhere, type Term } from "./setGroup.ts";
import { type ClassPairs, varifocalLoss } from "./varifocal.ts";

/** What the losses need besides predictions and targets. */
export interface CriterionOptions {
  readonly config: CriterionConfig;
  /** W(n) of the model that made the predictions. */
  readonly weighting: WeightingParameters;
}

function onClasses(loss: (pairs: ClassPairs) => Tensor, { alpha, gamma }: CriterionConfig): Term["run"] {
  return (group, { classes: aim }) => {
    const { isPadded } = group;
    const counts = new Set(group.sets.map(({ set }) => set.logits.shape[2]!));
    return [...counts].flatMap((classes) => {
      const indices = indicesWhere(group, (set, named) => named.classes && set.logits.shape[2] === classes);
      if (indices.length === 0) return [];
      const logits = stack(indices.map((i) => group.sets[i]!.set.logits));
      const given = takeSets(aim.labels, indices);
      // A head that ignores classes has one logit, for which every target is class 0.
      const labels = classes === 1 ? minimum(given, 0) : given;
      const ious = takeSets(aim.ious, indices);
      return [{ indices, values: loss({ logits, labels, ious, alpha, gamma, isPadded }) }];
    });
  };
}

const onBoxes =
  (loss: (pairs: BoxPairs) => Tensor): Term["run"] =>
  ({ sets }, { boxes }) => [{ indices: [...sets.keys()], values: loss(boxes) }];

function fineGrained(weighting: WeightingParameters): Term["run"] {
  return (group, { boxes }) => {
    const indices = indicesWhere(group, (set) => set.corners !== undefined);
    if (indices.length === 0) return [];
    const corners = stack(indices.map((i) => group.sets[i]!.set.corners!));
    const { targets, refPoints, boxMatches } = group;
    const matches = boxMatches.length === 1 ? boxMatches : indices.map((i) => boxMatches[i]!);
    const edges = denseEdgeTargets(matches, targets, { refPoints, weighting, like: corners });
    return [{ indices, values: fineGrainedLoss(corners, edges, takeSets(boxes.ious, indices)) }];
  };
}

/** The terms of a configuration, in D-FINE's order; terms of weight 0 are left out. Each sums over matched queries. */
export function lossTerms({ config, weighting }: CriterionOptions): Term[] {
  const { weights } = config;
  const { focal } = SET_NAMES[config.names];
  const terms: Term[] = [
    { name: "vfl", weight: weights.vfl, normalizer: "classes", run: onClasses(varifocalLoss, config) },
    { name: focal, weight: weights.focal, normalizer: "classes", run: onClasses(focalLoss, config) },
    { name: "bbox", weight: weights.bbox, normalizer: "boxes", run: onBoxes(l1Loss) },
    { name: "giou", weight: weights.giou, normalizer: "boxes", run: onBoxes(giouLoss) },
    { name: "fgl", weight: weights.fgl, normalizer: "boxes", run: fineGrained(weighting) },
    ...config.distillation.map(
      (term): Term => ({
        name: term.kind,
        weight: term.weight,
        normalizer: "none",
        run: DISTILLATIONS.plan(term),
      }),
    ),
  ];
  return terms.filter(({ weight }) => weight > 0);
}
