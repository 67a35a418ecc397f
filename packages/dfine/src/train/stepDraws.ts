import { Random, uniformAt } from "@dfine/tensor";
import type { DenoisingDraws } from "../model/outputs.ts";

/** A part of a step of a run. */
export interface StepPart {
  readonly seed: number;
  readonly step: number;
  readonly part?: number | undefined;
}

/** Random numbers for a part of a step: a function of seed, step and part, so that a resumed run draws the same. */
export function stepRandom(use: "denoising" | "dropout", { seed, step, part = 0 }: StepPart): Random {
  const whole = new Random(seed).fork(use).fork(`step ${step}`);
  return part === 0 ? whole : whole.fork(`part ${part}`);
}

/** Denoising's. */
export function stepDraws(at: StepPart): DenoisingDraws {
  const random = stepRandom("denoising", at);
  const stream = (name: string) => {
    const { key } = random.fork(name).state;
    return (index: number) => uniformAt(key, index);
  };
  return {
    labelMask: stream("labelMask"),
    label: stream("label"),
    sign: stream("sign"),
    magnitude: stream("magnitude"),
  };
}
