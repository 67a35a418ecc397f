/** A schedule gives the factor on the base learning rate for a step, counted from 0 over the whole run. */
export type Schedule = (step: number) => number;

/** A warm-up, then steps down at milestones. */
export interface MultiStepOptions {
  /** Epochs, ascending, at each of which the rate is multiplied by `gamma`. */
  readonly milestones: readonly number[];
  readonly gamma: number;
}

/** The base rate throughout. */
export function constant(): Schedule {
  return () => 1;
}

/** Rises linearly to 1 over `steps` steps: step t, from 0, has min(1, (t + 1) / steps). */
export function linearWarmup(steps: number): Schedule {
  return (step) => (steps <= 0 ? 1 : Math.min(1, (step + 1) / steps));
}

/** Factor of PyTorch's MultiStepLR after `epoch` of its own steps. */
export function multiStepFactor(epoch: number, { milestones, gamma }: MultiStepOptions): number {
  return gamma ** milestones.filter((milestone) => milestone <= epoch).length;
}

/** Where the epochs of a run begin and end, in steps. */
export interface RunLength {
  readonly stepsPerEpoch: number;
  readonly epochs: number;
  /** Steps by which epochs begin later than at a multiple of `stepsPerEpoch`, after epochs of other lengths; default 0. */
  readonly shift?: number;
}

/** A linear warm-up and what follows it. */
export interface WarmupOptions extends MultiStepOptions {
  /** `steps`: milestones. `cosine`: falls along half a wave to `finalShare` at the end of the run. */
  readonly type: "steps" | "cosine";
  readonly warmupSteps: number;
  /** Share of the base rate at the end of a cosine; milestones pay no heed to it. */
  readonly finalShare: number;
}

/**
 * Milestones by epochs, as D-FINE's trainer combines them with a warm-up: epochs that end before the warm-up does are not
 * counted towards them.
 */
function steps(options: WarmupOptions, { stepsPerEpoch, shift = 0 }: RunLength): Schedule {
  const uncounted = Math.max(0, Math.ceil(options.warmupSteps / stepsPerEpoch) - 1);
  return (step) => multiStepFactor(Math.max(0, Math.floor((step - shift) / stepsPerEpoch) - uncounted), options);
}

/** From the end of the warm-up to the end of the run. Loshchilov and Hutter 2017, without restarts. */
function cosine({ warmupSteps, finalShare }: WarmupOptions, { stepsPerEpoch, epochs, shift = 0 }: RunLength): Schedule {
  const length = Math.max(1, shift + epochs * stepsPerEpoch - warmupSteps);
  return (step) => {
    const done = Math.min(1, Math.max(0, (step - warmupSteps) / length));
    return finalShare + ((1 - finalShare) * (1 + Math.cos(Math.PI * done))) / 2;
  };
}

const AFTER_WARMUP: Readonly<Record<WarmupOptions["type"], typeof steps>> = { steps, cosine };

/** Linear warm-up by steps, times what follows it. */
export function warmupSchedule(options: WarmupOptions, run: RunLength): Schedule {
  const warmup = linearWarmup(options.warmupSteps);
  const after = AFTER_WARMUP[options.type](options, run);
  return (step) => warmup(step) * after(step);
}
