import type { EpochEvent, StepEvent } from "../../train/events.ts";

/** Terms that the line shows: the last layer's. */
const MAIN_TERMS = ["loss_vfl", "loss_bbox", "loss_giou", "loss_fgl"];
/** Weight of the newest step in the running mean of step times. */
const NEWEST = 0.1;

/** One line about a run's progress, with speed and time left from what has been measured. */
export class ProgressLine {
  #secondsPerStep: number | undefined;
  #secondsOfSteps = 0;
  #evaluationSeconds = 0;

  step(event: StepEvent, epochs: number): string {
    const { seconds, epoch, stepInEpoch, stepsPerEpoch, losses, loss, learningRate, images } = event;
    this.#secondsOfSteps += seconds;
    const before = this.#secondsPerStep ?? seconds;
    this.#secondsPerStep = before + NEWEST * (seconds - before);
    const terms = MAIN_TERMS.filter((name) => name in losses).map(
      (name) => `${name.replace("loss_", "")} ${losses[name]!.toFixed(3)}`,
    );
    return [
      `epoch ${epoch + 1}/${epochs}`,
      `${stepInEpoch}/${stepsPerEpoch}`,
      event.skipped ? "skipped: not finite" : `loss ${loss.toFixed(2)}`,
      terms.join(" "),
      `lr ${learningRate.toPrecision(2)}`,
      `${(images / this.#secondsPerStep).toFixed(1)} img/s`,
      `${formatDuration(this.#secondsLeft(event))} left`,
    ].join(" · ");
  }

  /** Learns how long an evaluation takes. */
  epoch(event: EpochEvent): void {
    this.#evaluationSeconds = Math.max(0, event.seconds - this.#secondsOfSteps);
    this.#secondsOfSteps = 0;
  }

  #secondsLeft({ step, stepsInAll, stepsPerEpoch }: StepEvent): number {
    const steps = stepsInAll - step;
    return steps * (this.#secondsPerStep ?? 0) + Math.ceil(steps / stepsPerEpoch) * this.#evaluationSeconds;
  }
}

/** 75 → "1m 15s". */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours > 0) return `${hours}h ${minutes}m`;
  return minutes > 0 ? `${minutes}m ${rest}s` : `${rest}s`;
}
