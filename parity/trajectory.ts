import { type Backend, Random } from "@dfine/tensor";
import type { Config } from "../packages/dfine/src/config/config.ts";
import type { TrainingBatch } from "../packages/dfine/src/train/batch.ts";
import { Trainer } from "../packages/dfine/src/train/trainer.ts";

/** Relative difference of losses that is always allowed: rounding, before anything has magnified it. */
const ROUNDING = 1e-3;
/** Steps in which nothing else is allowed. */
const FIRST_STEPS = 3;
/** Afterwards so many times what fused multiply-adds alone make of the same step. */
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

export const relative = (value: number, expected: number): number => Math.abs(value - expected) / Math.abs(expected);

/** Judges the losses of a step counted from 1. */
export function judge(step: number, losses: StepLosses): StepVerdict {
  const difference = relative(losses.device, losses.fused);
  const spread = relative(losses.plain, losses.fused);
  const allowed = step <= FIRST_STEPS ? ROUNDING : Math.max(ROUNDING, SPREADS * spread);
  return { ...losses, step, difference, spread, allowed, ok: difference <= allowed };
}

/** What is learned from. */
export interface Lesson {
  readonly config: Config;
  readonly batches: readonly TrainingBatch[];
  readonly stepsPerEpoch: number;
}

/** A step that is done, and what led to it. */
export interface DoneStep {
  readonly loss: number;
  readonly batch: TrainingBatch;
  /** The trainer's, before the step. */
  readonly state: Uint8Array;
}

/** Trains from the configuration's seed. */
export async function* stepsOn(backend: Backend, lesson: Lesson): AsyncGenerator<DoneStep, void, undefined> {
  const { config, batches, stepsPerEpoch } = lesson;
  using trainer = await Trainer.create({ config, backend });
  for (const batch of batches) {
    const state = await trainer.saveState();
    const { loss } = await trainer.step(batch, stepsPerEpoch);
    yield { loss, batch, state };
  }
}

/** The same images, each value moved by at most a float32's last bit. */
export function nudged(batch: TrainingBatch, seed: number): TrainingBatch {
  const random = new Random(seed);
  const images = batch.images.map((value) => value * (1 + (random.uniform() - 0.5) * 2 ** -22));
  return { ...batch, images };
}

/**
 * Losses that `backend` gives for the same step from the same weights, when pixels move in their last bits. Training has
 * ties: a query at the edge of the selection, or two that cost a target the same. A loss that depends on how one falls is
 * among these; a wrong one isn't.
 */
export async function lossesNearby(
  backend: Backend,
  { state, batch }: DoneStep,
  { config, stepsPerEpoch, count }: Omit<Lesson, "batches"> & { count: number },
): Promise<number[]> {
  const losses: number[] = [];
  for (let seed = 0; seed < count; seed++) {
    using trainer = await Trainer.restore(state, { config, backend });
    losses.push((await trainer.step(nudged(batch, seed), stepsPerEpoch)).loss);
  }
  return losses;
}
