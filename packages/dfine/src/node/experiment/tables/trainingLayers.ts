import type { Config } from "../../../config/config.ts";
import type { Experiment } from "../experiment.ts";

/** Layers after those of the base, which only train. */
const more = (extra: number) => (base: Config) => {
  const { layers } = base.model.decoder;
  return { model: { decoder: { layers: layers + extra, evalLayer: layers - 1 } } };
};

/** The paper's future work: decoder layers that teach, and are dropped afterwards. */
export const trainingLayers: Experiment = {
  title: "Decoder layers that only train",
  source: "no paper's numbers: the future work that D-FINE (arXiv 2410.13842) names in its last section",
  base: { preset: "s", task: "coco" },
  rows: {
    none: { label: "as the preset", patch: {} },
    one: { label: "one more layer in training", patch: more(1) },
    three: { label: "three more layers in training", patch: more(3) },
  },
};
