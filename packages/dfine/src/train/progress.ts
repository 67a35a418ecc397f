import * as z from "zod";
import { count } from "../config/numbers.ts";
import { parseJson } from "../parseJson.ts";

const cycleSchema = z.object({
  /** Times that stage 2 has gone back to where it began. */
  restarts: count,
  /** Best value since then, or since the run began; null before the first evaluation. */
  best: z.number().nullable(),
  /** The last epoch of stage 2 was no better, so the next one begins by going back. */
  behind: z.boolean(),
});

const startCycle = (): z.infer<typeof cycleSchema> => ({ restarts: 0, best: null, behind: false });

const watchedSchema = z.object({ best: z.number().nullable(), waited: count });
const startWatch = (): z.infer<typeof watchedSchema> => ({ best: null, waited: 0 });

/** The best epoch as versions had it that knew no other measure than AP. */
const renamed = (best: unknown): unknown =>
  typeof best === "object" && best !== null && "ap" in best ? { ...best, value: best.ap } : best;

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
  /** Best value of `train.bestBy` after a whole epoch, and that epoch, from 0; null while none was above 0. */
  best: z.preprocess(renamed, z.object({ value: z.number(), epoch: count }).nullable()),
  /** Absent in states of versions that had no stages. */
  cycle: cycleSchema.default(() => startCycle()),
  /** Best value by more than `earlyStop.minDelta`, and the epochs since. */
  watched: watchedSchema.default(() => startWatch()),
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
  cycle: startCycle(),
  watched: startWatch(),
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
