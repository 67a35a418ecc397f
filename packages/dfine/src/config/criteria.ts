import type { CriterionConfig } from "./config.ts";

/** D-FINE's, of all sizes. */
export const DFINE_CRITERION: CriterionConfig = {
  matching: "union",
  weights: { vfl: 1, focal: 0, bbox: 5, giou: 2, fgl: 0.15 },
  names: "dfine",
  preClasses: true,
  boxEpsilon: 0,
  alpha: 0.75,
  gamma: 2,
  distillation: [{ kind: "ddf", weight: 1.5, temperature: 5 }],
  matcher: { classWeight: 2, bboxWeight: 5, giouWeight: 2, alpha: 0.25, gamma: 2 },
};

/** What the paper adds to a detector: boxes as distributions, and matches united by a teacher for all layers. */
export interface Methods {
  readonly fdr: boolean;
  readonly goLsd: boolean;
}

/** In what the families' criteria differ. */
const FAMILIES = {
  "deformable-detr": { classWeight: 2, boxEpsilon: 0, names: "detr" },
  "deformable-detr-plain": { classWeight: 2, boxEpsilon: 0, names: "detr" },
  "dab-detr": { classWeight: 1, boxEpsilon: 1e-6, names: "detr" },
  "dn-detr": { classWeight: 1, boxEpsilon: 1e-6, names: "dn-detr" },
  dino: { classWeight: 1, boxEpsilon: 1e-6, names: "detr" },
} as const;

/**
 * The criterion of a DETR: focal loss and each layer's own matches. With FDR boxes may have crossed edges, so that they are
 * compared as D-FINE's are. docs/families.md.
 */
export function detrCriterion(family: keyof typeof FAMILIES, { fdr, goLsd }: Methods): CriterionConfig {
  const { classWeight, boxEpsilon, names } = FAMILIES[family];
  return {
    ...DFINE_CRITERION,
    matching: goLsd ? "union" : "layer",
    weights: { ...DFINE_CRITERION.weights, vfl: 0, focal: classWeight, fgl: fdr ? DFINE_CRITERION.weights.fgl : 0 },
    names: fdr ? "detr" : names,
    preClasses: false,
    boxEpsilon: fdr ? 0 : boxEpsilon,
    alpha: 0.25,
    distillation: fdr && goLsd ? DFINE_CRITERION.distillation : [],
  };
}
