import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NO_PACK, referenceJson } from "../../../parity/referencePack.ts";
import { constant, linearWarmup, multiStepFactor, warmupSchedule } from "./schedule.ts";

interface Options {
  warmupSteps: number;
  stepsPerEpoch: number;
  milestones: number[];
  gamma: number;
}

/** Rates of a training loop that steps two stateful schedulers as the official trainer does. */
function officialLoop(options: Options, epochs: number): number[] {
  const { warmupSteps, stepsPerEpoch, milestones, gamma } = options;
  const rates: number[] = [];
  let rate = warmupSteps > 0 ? 1 / warmupSteps : 1;
  let warmupStep = 0;
  let schedulerEpoch = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (let i = 0; i < stepsPerEpoch; i++) {
      rates.push(rate);
      warmupStep++;
      if (warmupStep < warmupSteps) rate = Math.min(1, (warmupStep + 1) / warmupSteps);
    }
    if (warmupStep < warmupSteps) continue;
    schedulerEpoch++;
    if (milestones.includes(schedulerEpoch)) rate *= gamma;
  }
  return rates;
}

const options = fc.record({
  warmupSteps: fc.nat(30),
  stepsPerEpoch: fc.integer({ min: 1, max: 12 }),
  milestones: fc
    .uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 3 })
    .map((list) => list.sort((a, b) => a - b)),
  gamma: fc.constantFrom(0.1, 0.5),
});

describe("schedules", () => {
  test("warm-up with milestones equals the official loop", () => {
    fc.assert(
      fc.property(options, (given) => {
        const schedule = warmupSchedule({ ...given, type: "steps", finalShare: 0 }, { ...given, epochs: 15 });
        officialLoop(given, 15).forEach((rate, step) => {
          expect(schedule(step)).toBeCloseTo(rate, 12);
        });
      }),
    );
  });

  test("warm-up rises by equal steps to 1 and stays", () => {
    expect([0, 1, 2, 3, 4, 5].map(linearWarmup(4))).toEqual([0.25, 0.5, 0.75, 1, 1, 1]);
    expect(linearWarmup(0)(0)).toBe(1);
    expect([0, 1000].map(constant())).toEqual([1, 1]);
  });

  test("milestones multiply from their own epoch on", () => {
    const given = { milestones: [2, 4], gamma: 0.1 };
    const factors = [0, 1, 2, 3, 4, 5].map((epoch) => multiStepFactor(epoch, given));
    factors.forEach((factor, epoch) => {
      expect(factor).toBeCloseTo([1, 1, 0.1, 0.1, 0.01, 0.01][epoch]!, 15);
    });
  });

  test("a cosine falls from the end of the warm-up to its share at the end of the run, half of the way in the middle", () => {
    const cosine = { type: "cosine", warmupSteps: 4, finalShare: 0.2, milestones: [1], gamma: 0.1 } as const;
    const schedule = warmupSchedule(cosine, { stepsPerEpoch: 6, epochs: 4 });
    const expected = [
      [0, 0.25],
      [4, 1],
      [14, 0.6],
      [24, 0.2],
      [99, 0.2],
    ] as const;
    for (const [step, factor] of expected) expect(schedule(step)).toBeCloseTo(factor, 12);
    const later = warmupSchedule(cosine, { stepsPerEpoch: 6, epochs: 4, shift: 10 });
    expect(later(19)).toBeCloseTo(0.6, 12);
    const rates = Array.from({ length: 21 }, (_, i) => schedule(4 + i));
    expect(rates.every((rate, i) => i === 0 || rate < rates[i - 1]!)).toBe(true);
  });

  test("gives the learning rates of the reference pack", (context) => {
    const unit = referenceJson<{
      groups: { lr: number }[];
      warmup_duration: number;
      steps: { lr: number[] }[];
    }>("units/optimizer.json");
    if (!unit) return context.skip(NO_PACK);
    const schedule = linearWarmup(unit.warmup_duration);
    unit.steps.forEach(({ lr }, step) => {
      lr.forEach((rate, group) => {
        expect(unit.groups[group]!.lr * schedule(step)).toBeCloseTo(rate, 12);
      });
    });
  });
});
