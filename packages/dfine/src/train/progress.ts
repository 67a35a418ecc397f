import * as z from "zod";
import { count } from "../config/numbers.ts";
import { parseJson } from "../parseJson.ts";

const progressSchema = z.object({
  /** Epoch in progress, from 0. */
  epoch: count,
  /** Steps done in it. */
  stepInEpoch: count,
  /** Steps done over the whole run, skipped ones included: the schedule's position and the random numbers' counter. */
  step: count,
  /** Steps whose loss or gradient was not finite, so that nothing was updated. */
  skipped: count,
  skippedInARow: count,
  /** Best AP so far and its epoch, from 0; null while none was above 0. */
  best: z.object({ ap: z.number(), epoch: count }).nullable(),
  /** Sums of the loss terms over the epoch's steps so far, skipped ones left out. */
  lossSums: z.record(z.string(), z.number()),
  lossCount: count,
});

/** Where a training run stands, besides its weights. Plain data: it travels inside the saved state. @interface */
export type TrainProgress = z.infer<typeof progressSchema>;

export const startProgress = (): TrainProgress => ({
  epoch: 0,
  stepInEpoch: 0,
  step: 0,
  skipped: 0,
  skippedInARow: 0,
  best: null,
  lossSums: {},
  lossCount: 0,
});

/** Counts a step; without `losses` it was skipped. */
export function countStep(progress: TrainProgress, losses: Readonly<Record<string, number>> | undefined): void {
  progress.step++;
  progress.stepInEpoch++;
  if (!losses) {
    progress.skipped++;
    progress.skippedInARow++;
    return;
  }
  progress.skippedInARow = 0;
  progress.lossCount++;
  for (const [name, value] of Object.entries(losses)) progress.lossSums[name] = (progress.lossSums[name] ?? 0) + value;
}

/** Means of the loss terms over the epoch's steps so far. Terms that a step lacks count as 0, as in the sum that is trained. */
export function meanLosses(progress: TrainProgress): Record<string, number> {
  const { lossSums, lossCount } = progress;
  return Object.fromEntries(Object.entries(lossSums).map(([name, value]) => [name, value / lossCount]));
}

export function nextEpoch(progress: TrainProgress): void {
  progress.epoch++;
  progress.stepInEpoch = 0;
  progress.lossSums = {};
  progress.lossCount = 0;
}

export const totalLoss = (losses: Readonly<Record<string, number>>): number =>
  Object.values(losses).reduce((sum, value) => sum + value, 0);

/** Reads progress from its JSON; undefined where that is damaged. */
export const parseProgress = (text: string): TrainProgress | undefined =>
  progressSchema.safeParse(parseJson(text)).data;
