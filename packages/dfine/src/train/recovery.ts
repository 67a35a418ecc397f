import { DeviceLostError } from "@dfine/tensor";
import type { RecoveryEvent } from "./events.ts";
import type { Trainer } from "./trainer.ts";

/** Losses of the device in a row, without a step or an epoch that was not done before, after which training stops. */
const MOST_LOSSES = 3;

/** Keeps a run going when its device is lost: back to the trainer's last snapshot on a new device, and on from there. */
export class Recovery {
  readonly #trainer: Trainer;
  /** Steps done in all, those included that a loss has undone. */
  #furthest: number;
  #lossesInARow = 0;

  constructor(trainer: Trainer) {
    this.#trainer = trainer;
    this.#furthest = trainer.progress.step;
  }

  /** Counts a step that is done; true where it repeats one that a loss has undone. */
  countStep(step: number): boolean {
    if (step <= this.#furthest) return true;
    this.#furthest = step;
    this.#lossesInARow = 0;
    return false;
  }

  /** Takes a snapshot where one is due. */
  async afterStep(): Promise<void> {
    const { config, progress, snapshotStep } = this.#trainer;
    if (progress.step - snapshotStep >= config.train.snapshotEvery) await this.#trainer.snapshot();
  }

  /** Takes a snapshot, so that no epoch is ended twice. */
  async afterEpoch(): Promise<void> {
    await this.#trainer.snapshot();
    this.#lossesInARow = 0;
  }

  /**
   * Goes back to the last snapshot after `error`, and says so.
   * @throws the error itself unless a device was lost and can be replaced, or DeviceLostError when no device lasts
   */
  async goBack(error: unknown): Promise<RecoveryEvent> {
    const { progress } = this.#trainer;
    const lostAt = progress.step;
    for (let cause = error; ; ) {
      if (!(cause instanceof DeviceLostError) || !this.#trainer.isRecoverable) throw cause;
      if (++this.#lossesInARow >= MOST_LOSSES) throw this.#givenUp(cause);
      try {
        await this.#trainer.recover();
        return { kind: "recovery", epoch: progress.epoch, step: progress.step, lostAt, reason: cause.message };
      } catch (next) {
        cause = next;
      }
    }
  }

  #givenUp(cause: DeviceLostError): DeviceLostError {
    return new DeviceLostError(
      `training stopped: the device was lost ${MOST_LOSSES} times in a row without getting past step ${this.#furthest}; ` +
        `the last time: ${cause.message}. Use a smaller batch (--batch) or another device (--device cpu), or look into the driver's log`,
      { cause },
    );
  }
}
