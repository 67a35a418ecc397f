import type { Backend } from "@dfine/tensor";
import type { Config } from "../packages/dfine/src/config/config.ts";
import type { TrainingBatch } from "../packages/dfine/src/train/batch.ts";
import { Trainer } from "../packages/dfine/src/train/trainer.ts";

/** Relative difference of losses that is always allowed: rounding, before anything has magnified it. */
const ROUNDING = 1e-3;
/** Steps in which nothing else is allowed. */
const FIRST_STEPS = 3;
/** Afterwards so many times what fused multiply-adds alone have made of the same steps. */
const SPREADS = 3;

/** A step's losses on the device and on the CPU, plain and with fused multiply-adds. */
export interface StepLosses {
  readonly device: number;
  readonly plain: number;
  readonly fused: number;
}

export interface StepVerdict extends StepLosses {
  /** From 1 on. */
  readonly step: number;
  /** Relative difference of the device's loss from that of the CPU with fused multiply-adds. */
  readonly difference: number;
  /** The same of the CPU without them. */
  readonly spread: number;
  readonly allowed: number;
  readonly ok: boolean;
}

const relative = (value: number, expected: number): number => Math.abs(value - expected) / Math.abs(expected);

/**
 * Judges losses step by step. Training magnifies last bits in jumps: a query at the edge of the selection, or a match
 * between two that cost the same, falls the other way in one step and not in the next. Later steps may therefore differ by
 * three times the most that the CPU's own two ways to round have differed by so far.
 */
export function judge(losses: readonly StepLosses[]): StepVerdict[] {
  let largest = 0;
  return losses.map((step, i) => {
    const difference = relative(step.device, step.fused);
    const spread = relative(step.plain, step.fused);
    largest = Math.max(largest, spread);
    const allowed = i < FIRST_STEPS ? ROUNDING : Math.max(ROUNDING, SPREADS * largest);
    return { ...step, step: i + 1, difference, spread, allowed, ok: difference <= allowed };
  });
}

/** What is learned from, and who hears of it. */
export interface LessonOptions {
  readonly batches: readonly TrainingBatch[];
  readonly stepsPerEpoch: number;
  /** Told the loss of each step. */
  readonly onLoss?: (loss: number) => void;
}

/** Trains from the configuration's seed on these batches; gives the loss of each step. */
export async function lossesOn(backend: Backend, config: Config, options: LessonOptions): Promise<number[]> {
  const { batches, stepsPerEpoch, onLoss } = options;
  using trainer = await Trainer.create({ config, backend });
  const losses: number[] = [];
  for (const batch of batches) {
    const { loss } = await trainer.step(batch, stepsPerEpoch);
    losses.push(loss);
    onLoss?.(loss);
  }
  return losses;
}
