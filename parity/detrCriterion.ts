import { backward, type Tensor } from "@dfine/tensor";
import { detrCriterion } from "../packages/dfine/src/config/criteria.ts";
import { criterion } from "../packages/dfine/src/loss/criterion.ts";
import type { MatchTargets } from "../packages/dfine/src/loss/matches.ts";
import { positivePairs } from "../packages/dfine/src/model/denoising.ts";
import type { PredictionSet, TrainingOutputs } from "../packages/dfine/src/model/outputs.ts";
import { unitError } from "./compare.ts";
import { differentPairs, type IndexPair, type JsonTargets, toPairs, toTargets } from "./hostUnits.ts";
import type { JsonTensor } from "./pack.ts";
import { toTensor } from "./target.ts";
import { type Measure, perCase, type Unit } from "./unit.ts";

type JsonPrediction = Record<"logits" | "boxes", JsonTensor> & Record<"grad_logits" | "grad_boxes", JsonTensor | null>;

interface CriterionUnit {
  readonly groups?: number;
  readonly pad_size?: number;
  readonly targets: readonly JsonTargets[];
  readonly predictions: Readonly<Record<string, JsonPrediction>>;
  readonly losses_unweighted: Readonly<Record<string, number>>;
  /** Per set of `match_order` and image. */
  readonly matches: readonly (readonly IndexPair[])[];
  readonly match_order: readonly string[];
}

const FAMILIES = { deformable: "deformable-detr", dn: "dn-detr", dino: "dino" } as const;
type Whose = keyof typeof FAMILIES;

/** Sums of losses without weights. */
function unweighted(whose: Whose) {
  const config = detrCriterion(FAMILIES[whose], { fdr: false, goLsd: false });
  return { ...config, weights: { ...config.weights, focal: 1, bbox: 1, giou: 1 } };
}

/** The unit's predictions as a model gives them. */
function outputsOf(
  { groups = 0, pad_size: padding = 0 }: CriterionUnit,
  sets: ReadonlyMap<string, PredictionSet>,
  { whose, targets }: { whose: Whose; targets: readonly MatchTargets[] },
): TrainingOutputs {
  const set = (name: string) => sets.get(name)!;
  const dn = {
    layers: padding > 0 ? [set("dn_aux_0"), set("dn_last")] : [],
    positives: targets.map(({ labels }) => positivePairs(labels.length, groups, padding / groups)),
    ...{ groups, negatives: whose === "dino" },
  };
  return {
    ...{ last: set("last"), aux: [set("aux_0")] },
    enc: whose === "dino" ? [set("interm")] : [],
    ...(whose === "deformable" ? { tokens: set("enc") } : {}),
    ...(padding > 0 ? { dn } : {}),
  };
}

async function measuresOf(unit: CriterionUnit, whose: Whose): Promise<Measure[]> {
  const targets = unit.targets.map(toTargets);
  const leaves: [Tensor, JsonTensor | null][] = [];
  const leaf = (values: JsonTensor, gradient: JsonTensor | null): Tensor => {
    const made = toTensor(values);
    made.requiresGrad = true;
    leaves.push([made, gradient]);
    return made;
  };
  const sets = new Map(
    Object.entries(unit.predictions).map(([name, { logits, boxes, grad_logits, grad_boxes }]) => [
      name,
      { logits: leaf(logits, grad_logits), boxes: leaf(boxes, grad_boxes) },
    ]),
  );
  const found = await criterion(outputsOf(unit, sets, { whose, targets }), targets, {
    config: unweighted(whose),
    // No set has distributions.
    weighting: { regMax: 0, regScale: 0, up: 0 },
  });
  const values = new Map<string, number>();
  for (const [name, loss] of found.losses) values.set(name, await loss.item());
  // Without a box in the batch there are no denoising queries, whose losses officially are zeros.
  const expected = Object.entries(unit.losses_unweighted).filter(([name, value]) => values.has(name) || value !== 0);
  const names = expected.map(([name]) => values.get(name) ?? Number.NaN);
  backward(found.total);
  let gradients = 0;
  for (const [made, gradient] of leaves) {
    if (gradient) gradients = Math.max(gradients, unitError((await made.grad?.data()) ?? [], gradient.data));
    made.grad = undefined;
  }
  const different = unit.match_order.flatMap((name, s) =>
    unit.matches[s]!.map((pairs, b) => differentPairs(found.matches.get(name)![b]!, toPairs(pairs))),
  );
  return [
    {
      name: "losses",
      error: Math.max(
        unitError(
          names,
          expected.map(([, value]) => value),
        ),
        values.size - names.length,
      ),
    },
    { name: "gradients", error: gradients },
    { name: "pairs", error: different.reduce((sum, n) => sum + n, 0), allowed: 0 },
  ];
}

/** Small predictions through the criterion of each repository. */
export const detrCriterionUnits: readonly Unit[] = (Object.keys(FAMILIES) as Whose[]).map((whose) =>
  perCase<CriterionUnit>({
    ...{ file: `units/criterion_${whose}.json`, on: "tensors" },
    measures: (unit) => measuresOf(unit, whose),
  }),
);
