import type { Config, TrainConfig } from "../config/config.ts";
import type { TrainProgress } from "./progress.ts";

/** A run, and where it stands. */
interface Standing {
  readonly config: Config;
  readonly progress: TrainProgress;
}

/** By how much each restart lowers the decay of stage 2. D-FINE's. */
const DECAY_PER_RESTART = 1e-4;

/** 2 from the epoch on with which strong augmentation stops; 1 before it, and where it never began. */
const stageOf = ({ augmentation: { stopEpoch } }: TrainConfig, epoch: number): 1 | 2 =>
  stopEpoch > 0 && epoch >= stopEpoch ? 2 : 1;

/** Whether stage 2 comes later, and so will want the best state of stage 1. */
export const precedesStage2 = ({ train }: Config, epoch: number): boolean =>
  stageOf(train, epoch) === 1 && stageOf(train, train.epochs - 1) === 2;

/** Whether the next step is the first of stage 2, or of another try of it. */
export const beginsStage = ({ train }: Config, { epoch, stepInEpoch, cycle }: TrainProgress): boolean =>
  stepInEpoch === 0 && stageOf(train, epoch) === 2 && (epoch === train.augmentation.stopEpoch || cycle.behind);

/**
 * Decay of the average at this point of a run. The official trainer sets a lower one for stage 2 too, but without effect,
 * since its average never reads it.
 */
export function emaDecayAt({ train }: Config, { epoch, cycle }: Pick<TrainProgress, "epoch" | "cycle">): number {
  const { decay, restartDecay } = train.ema;
  if (stageOf(train, epoch) === 1) return decay;
  return Math.max(0, Math.min(decay, restartDecay) - DECAY_PER_RESTART * cycle.restarts);
}

/**
 * Takes down how good a whole epoch was; `value` is undefined where nothing was evaluated. While none was above 0 the last
 * one counts as the best.
 */
export function judgeEpoch(
  { config, progress }: Standing,
  { value, isBest }: { value: number | undefined; isBest: boolean },
): void {
  const { epoch, cycle, watched } = progress;
  if (isBest) progress.best = value !== undefined && value > 0 ? { value, epoch } : null;
  cycle.behind = false;
  if (value === undefined) return;
  if (value > (watched.best ?? Number.NEGATIVE_INFINITY) + config.train.earlyStop.minDelta)
    Object.assign(watched, { best: value, waited: 0 });
  else watched.waited++;
  if (cycle.best === null || value > cycle.best) cycle.best = value;
  else if (stageOf(config.train, epoch) === 2)
    Object.assign(cycle, { restarts: cycle.restarts + 1, best: null, behind: true });
}

/** Whether a run ends here because it has not become better for long enough. */
export const stopsEarly = ({ config, progress }: Standing): boolean =>
  progress.watched.waited >= (config.train.earlyStop.patience ?? Number.POSITIVE_INFINITY);
