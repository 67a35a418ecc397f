import type { Evaluation } from "./evaluate.ts";
import type { TrainProgress } from "./progress.ts";
import type { StepResult } from "./trainStep.ts";

/** A step is done. */
export interface StepEvent extends StepResult, Readonly<Pick<TrainProgress, "epoch" | "step" | "stepInEpoch">> {
  readonly kind: "step";
  readonly stepsPerEpoch: number;
  /** Steps that the whole run will have. */
  readonly stepsInAll: number;
  /** Base rate of this step. */
  readonly learningRate: number;
  readonly images: number;
  readonly seconds: number;
  /** Told before, then undone by a lost device, and now repeated with the same numbers. */
  readonly replayed: boolean;
}

/** An epoch is done and evaluated, or the run reached its last step inside one. */
export interface EpochEvent extends Readonly<Pick<TrainProgress, "epoch" | "step" | "skipped">> {
  readonly kind: "epoch";
  /** Means of the weighted terms over the epoch. */
  readonly losses: Readonly<Record<string, number>>;
  readonly loss: number;
  readonly learningRate: number;
  /** Training and evaluation together. */
  readonly seconds: number;
  /** Of the averaged weights; absent without validation data. */
  readonly evaluation?: Evaluation | undefined;
  /** The best `train.bestBy` so far; while none was above 0, the last epoch always counts as best. */
  readonly best: boolean;
  /** False when the run ended inside the epoch. */
  readonly complete: boolean;
}

/** The device was lost. Training went back to the last snapshot on a new one; the steps from there on are repeated. */
export interface RecoveryEvent {
  readonly kind: "recovery";
  /** From 0. */
  readonly epoch: number;
  /** Steps done at that snapshot. */
  readonly step: number;
  /** Steps done when the device was lost. */
  readonly lostAt: number;
  /** What the backend said. */
  readonly reason: string;
}

/** Stage 2 begins, or begins anew because an epoch fell behind. */
export interface StageEvent extends Readonly<Pick<TrainProgress, "epoch" | "step">> {
  readonly kind: "stage";
  /** Epochs after which the weights were as they are again now; undefined where no state of stage 1 is kept. */
  readonly from: number | undefined;
  /** Times that it began anew. */
  readonly restarts: number;
  /** Decay of the average from here on, once warmed up. */
  readonly emaDecay: number;
}

/** What a training loop tells. */
export type TrainEvent = StepEvent | EpochEvent | StageEvent | RecoveryEvent;
