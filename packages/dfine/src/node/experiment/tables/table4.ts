import type { Experiment, ExperimentRow } from "../experiment.ts";

const MEMORY = "The heads of this column are damaged in the text that we have, and from memory.";

/** a and c of W(n); the decoder is told 1/c. */
const weighting = (label: string, [up, regScale]: [number, number], ap: number, note?: string): ExperimentRow => ({
  ...{ label, patch: { model: { decoder: { up, regScale } } }, paper: { ap }, against: "half-quarter" },
  ...(note === undefined ? {} : { note }),
});
const bins = (regMax: number, ap: number): ExperimentRow => ({
  ...{ label: `N = ${regMax}`, patch: { model: { decoder: { regMax } } }, paper: { ap }, against: "n32" },
});
const temperature = (value: number, ap: number): ExperimentRow => ({
  label: `T = ${value}`,
  patch: ({ criterion }) => ({
    criterion: { distillation: criterion.distillation.map((term) => ({ ...term, temperature: value })) },
  }),
  ...{ paper: { ap }, against: "t5" },
});

/** What W(n), the number of bins and the temperature do. */
export const table4: Experiment = {
  title: "Table 4: a and c of W(n), bins N, temperature T",
  source:
    "D-FINE (arXiv 2410.13842), Table 4: COCO val2017 at 640, L. Its three sweeps have other best values (53.3, 53.7, 54.0), so they were made of different stages of the model; ours are of the whole one",
  base: { preset: "l", task: "coco", model: { decoder: { up: 0.5, regScale: 4, regMax: 32 } } },
  rows: {
    "quarter-quarter": weighting("a = 1/4, c = 1/4", [0.25, 4], 0.527, MEMORY),
    "half-linear": weighting("a = 1/2, c = 100, which is nearly linear", [0.5, 0.01], 0.53),
    "half-quarter": weighting("a = 1/2, c = 1/4", [0.5, 4], 0.533),
    "half-eighth": weighting("a = 1/2, c = 1/8", [0.5, 8], 0.532, MEMORY),
    "one-quarter": weighting("a = 1, c = 1/4", [1, 4], 0.532, MEMORY),
    learned: {
      label: "a and c learned, from 1/2 and 1/4 on",
      patch: { model: { decoder: { learnWeighting: true } } },
      ...{ paper: { ap: 0.531 }, against: "half-quarter" },
    },
    n4: bins(4, 0.533),
    n8: bins(8, 0.534),
    n16: bins(16, 0.535),
    n32: bins(32, 0.537),
    n64: bins(64, 0.536),
    n128: bins(128, 0.536),
    t1: temperature(1, 0.532),
    t2_5: temperature(2.5, 0.537),
    t5: temperature(5, 0.54),
    t7_5: temperature(7.5, 0.538),
    t10: temperature(10, 0.537),
    t20: temperature(20, 0.535),
  },
};
