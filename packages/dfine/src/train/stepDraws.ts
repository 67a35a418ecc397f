import { Random, uniformAt } from "@dfine/tensor";
import type { DenoisingDraws } from "../model/outputs.ts";

/** Denoising's random numbers for a part of a step: a function of seed, step and part, so that a resumed run draws the same. */
export function stepDraws(seed: number, step: number, part = 0): DenoisingDraws {
  const whole = new Random(seed).fork("denoising").fork(`step ${step}`);
  const random = part === 0 ? whole : whole.fork(`part ${part}`);
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
