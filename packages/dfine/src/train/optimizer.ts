import { AdamW } from "@dfine/nn";
import type { OptimizerConfig } from "../config/config.ts";
import { groupParameters } from "../config/parameterGroups.ts";
import type { Detector } from "../model/detector.ts";

/** AdamW over a model's trainable parameters, in the configuration's groups. */
export function makeOptimizer(model: Detector, config: OptimizerConfig): AdamW {
  const trainable = new Map([...model.namedParameters()].filter(([, parameter]) => parameter.requiresGrad));
  const rates = { base: config.learningRate, backbone: config.backboneLearningRate };
  const groups = groupParameters([...trainable.keys()], config.groups).map((group) => ({
    name: group.pattern ?? "rest",
    parameters: new Map(group.names.map((name) => [name, trainable.get(name)!])),
    learningRate: rates[group.learningRate],
    weightDecay: group.weightDecay === "inherit" ? config.weightDecay : group.weightDecay,
  }));
  return new AdamW(groups, { betas: config.betas, eps: config.eps });
}
