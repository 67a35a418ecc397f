import { Random, uniformAt } from "@dfine/tensor";
import type { DenoisingDraws } from "../model/outputs.ts";

/** Denoising's random numbers for one step: a function of seed and step, so that a resumed run draws the same. */
export function stepDraws(seed: number, step: number): DenoisingDraws {
  const random = new Random(seed).fork("denoising").fork(`step ${step}`);
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
