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

/**
 * Linear warm-up by steps, then milestones by epochs, as D-FINE's trainer combines them: epochs that end before the
 * warm-up does are not counted towards the milestones.
 */
export function warmupMultiStep(
  options: MultiStepOptions & {
    readonly warmupSteps: number;
    readonly stepsPerEpoch: number;
    /** Steps by which epochs begin later than at a multiple of `stepsPerEpoch`, after epochs of other lengths; default 0. */
    readonly shift?: number;
  },
): Schedule {
  const { warmupSteps, stepsPerEpoch, shift = 0 } = options;
  const warmup = linearWarmup(warmupSteps);
  const uncounted = Math.max(0, Math.ceil(warmupSteps / stepsPerEpoch) - 1);
  return (step) => {
    const epoch = Math.floor((step - shift) / stepsPerEpoch);
    return warmup(step) * multiStepFactor(Math.max(0, epoch - uncounted), options);
  };
}
