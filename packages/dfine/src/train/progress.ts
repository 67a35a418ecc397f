import * as z from "zod";

/** Where a training run stands, besides its weights. Plain data: it travels inside the saved state. */
export interface TrainProgress {
  /** Epoch in progress, from 0. */
  epoch: number;
  /** Steps done in it. */
  stepInEpoch: number;
  /** Steps done over the whole run, skipped ones included: the schedule's position and the random numbers' counter. */
  step: number;
  /** Steps whose loss or gradient was not finite, so that nothing was updated. */
  skipped: number;
  skippedInARow: number;
  /** Best AP so far and its epoch, from 0. */
  best: { ap: number; epoch: number } | null;
  /** Sums of the loss terms over the epoch's steps so far, skipped ones left out. */
  lossSums: Record<string, number>;
  lossCount: number;
}

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

/** Goes on to the next epoch. */
export function nextEpoch(progress: TrainProgress): void {
  progress.epoch++;
  progress.stepInEpoch = 0;
  progress.lossSums = {};
  progress.lossCount = 0;
}

/** Sum of all terms. */
export const totalLoss = (losses: Readonly<Record<string, number>>): number =>
  Object.values(losses).reduce((sum, value) => sum + value, 0);

const count = z.int().min(0);

/** What `TrainProgress` looks like when it comes back from a file. */
const progressSchema: z.ZodType<TrainProgress> = z.object({
  epoch: count,
  stepInEpoch: count,
  step: count,
  skipped: count,
  skippedInARow: count,
  best: z.object({ ap: z.number(), epoch: count }).nullable(),
  lossSums: z.record(z.string(), z.number()),
  lossCount: count,
});

/** Reads progress from its JSON; undefined where that is damaged. */
export function parseProgress(text: string): TrainProgress | undefined {
  try {
    return progressSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
