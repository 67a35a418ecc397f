import type { Experiment } from "../experiment.ts";
import { unevenPoints, upTo } from "./changes.ts";

const paper = (ap: number, millions: number, latencyMs: number, gflops: number) => ({
  ...{ ap: ap / 100, parameters: millions * 1e6, latencyMs, gflops },
});

/** From RT-DETR-HGNetv2-L to D-FINE-L, step by step. */
export const table3: Experiment = {
  title: "Table 3: from RT-DETR-HGNetv2-L to D-FINE-L",
  source:
    "D-FINE (arXiv 2410.13842), Table 3: COCO val2017 at 640, L, latency on a T4 with TensorRT FP16; parameters in whole millions",
  base: { preset: "l", task: "coco" },
  against: "previous",
  rows: {
    baseline: {
      label: "baseline: RT-DETR-HGNetv2-L",
      patch: upTo(),
      paper: paper(53.0, 32, 9.25, 110),
      note: "RT-DETR computes the encoder's box head for all 8400 tokens, which is 2.1 GFLOPs more; ours for the 300 that are chosen. The other 2 % are not explained.",
    },
    projections: {
      label: "no projections in the decoder",
      patch: upTo("projectionRemoval"),
      paper: paper(52.4, 32, 8.02, 97),
      note: "Removing them takes away 1.0 M parameters, where the paper's whole millions show none.",
    },
    gate: { label: "+ target gating", patch: upTo("gate"), paper: paper(52.8, 33, 8.15, 98) },
    gelan: { label: "encoder's CSP → GELAN", patch: upTo("gelan"), paper: paper(53.5, 46, 10.69, 167) },
    halved: { label: "half of GELAN's hidden width", patch: upTo("halving"), paper: paper(52.8, 31, 8.01, 91) },
    points: { label: "uneven points, S 3, M 6, L 3", patch: upTo("points"), paper: paper(52.9, 31, 7.9, 91) },
    pointsFine: {
      label: "in place of that, S 6, M 3, L 3",
      patch: (base) => [...upTo("points")(base), { model: { decoder: { points: unevenPoints(base, 0) } } }],
      paper: { ap: 0.528 },
      note: "The paper gives only the difference, in its text.",
      against: "points",
    },
    pointsCoarse: {
      label: "in place of that, S 3, M 3, L 6",
      patch: (base) => [...upTo("points")(base), { model: { decoder: { points: unevenPoints(base, 2) } } }],
      paper: { ap: 0.528 },
      note: "The paper gives only the difference, in its text.",
      against: "points",
    },
    strategy: {
      label: "RT-DETRv2's training strategy",
      patch: upTo("strategy"),
      paper: paper(53.0, 31, 7.9, 91),
      against: "points",
    },
    fdr: { label: "+ FDR", patch: upTo("fdr"), paper: paper(53.5, 31, 8.07, 91) },
    golsd: { label: "+ GO-LSD", patch: upTo("goLsd"), paper: paper(54.0, 31, 8.07, 91) },
  },
};
