import type { Config, CriterionConfig, DetrPresetName } from "./config.ts";

/** What the paper adds to a detector: boxes as distributions, and matches united by a teacher for all layers. */
export type Methods = Pick<Config, "fdr" | "goLsd">;

const FGL = 0.15;

/** D-FINE's, of all sizes. */
export const dfineCriterion = ({ fdr, goLsd }: Methods): CriterionConfig => ({
  matching: goLsd ? "union" : "layer",
  weights: { vfl: 1, focal: 0, bbox: 5, giou: 2, fgl: fdr ? FGL : 0 },
  names: "dfine",
  preClasses: true,
  boxEpsilon: 0,
  alpha: 0.75,
  gamma: 2,
  distillation: fdr && goLsd ? [{ kind: "ddf", weight: 1.5, temperature: 5 }] : [],
  matcher: { classWeight: 2, bboxWeight: 5, giouWeight: 2, alpha: 0.25, gamma: 2 },
});

/** In what the families' criteria differ. */
const FAMILIES = {
  "deformable-detr": { classWeight: 2, boxEpsilon: 0, names: "detr" },
  "deformable-detr-plain": { classWeight: 2, boxEpsilon: 0, names: "detr" },
  "dab-detr": { classWeight: 1, boxEpsilon: 1e-6, names: "detr" },
  "dn-detr": { classWeight: 1, boxEpsilon: 1e-6, names: "dn-detr" },
  dino: { classWeight: 1, boxEpsilon: 1e-6, names: "detr" },
} as const satisfies Record<DetrPresetName, object>;

/**
 * The criterion of a DETR: focal loss and each layer's own matches. With FDR boxes may have crossed edges, so that they are
 * compared as D-FINE's are. docs/families.md.
 */
export function detrCriterion(family: DetrPresetName, methods: Methods): CriterionConfig {
  const { classWeight, boxEpsilon, names } = FAMILIES[family];
  const shared = dfineCriterion(methods);
  return {
    ...shared,
    weights: { ...shared.weights, vfl: 0, focal: classWeight },
    names: methods.fdr ? "detr" : names,
    preClasses: false,
    boxEpsilon: methods.fdr ? 0 : boxEpsilon,
    alpha: 0.25,
  };
}
