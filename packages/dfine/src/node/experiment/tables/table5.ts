import type { Config, CriterionConfig } from "../../../config/config.ts";
import type { ConfigOptions } from "../../../config/resolve.ts";
import type { Experiment } from "../experiment.ts";
import { upTo } from "./changes.ts";

const paper = (ap: number, minutes: number, megabytes: number) => ({
  ...{ ap: ap / 100, secondsPerEpoch: 60 * minutes, peakBytes: megabytes * 1e6 },
});

/** RT-DETR without distillation, with the terms that are given, and with FDR where it is said. */
const taught =
  (distillation: CriterionConfig["distillation"] = [], { fdr = false } = {}) =>
  (base: Config): ConfigOptions[] => [
    ...upTo()(base),
    { criterion: { distillation } },
    fdr ? { model: { decoder: { boxHead: "distribution" } } } : {},
  ];

/** What the last layer teaches the others, and how. */
export const table5: Experiment = {
  title: "Table 5: ways of distillation",
  source:
    "D-FINE (arXiv 2410.13842), Table 5: COCO val2017 at 640, L without the lighter parts of Table 3, on four RTX 4090 with a batch of 32. The paper has no formulas for the ways that are not its own: docs/experiments.md",
  base: { preset: "l", task: "coco" },
  rows: {
    baseline: { label: "baseline", patch: taught(), paper: paper(53.0, 29, 8552) },
    logits: {
      label: "logit mimicking",
      patch: taught([{ kind: "logits", weight: 1, temperature: 1 }]),
      paper: paper(52.6, 31, 8554),
    },
    features: {
      label: "feature imitation",
      patch: taught([{ kind: "features", weight: 1 }]),
      paper: paper(52.9, 31, 8554),
    },
    fdr: { label: "baseline + FDR", patch: taught([], { fdr: true }), paper: paper(53.8, 30, 8730) },
    localization: {
      label: "FDR + localisation distillation",
      patch: taught([{ kind: "localization", weight: 1.5, temperature: 5 }], { fdr: true }),
      paper: paper(53.7, 31, 8734),
      note: "The paper's text calls this an improvement over FDR alone.",
      against: "fdr",
    },
    golsd: {
      label: "FDR + GO-LSD",
      patch: (base) => [
        ...taught([{ kind: "ddf", weight: 1.5, temperature: 5 }], { fdr: true })(base),
        { criterion: { matching: "union" } },
      ],
      paper: paper(54.5, 31, 8734),
      against: "fdr",
    },
  },
};
