import { cpu } from "@dfine/backend-cpu";
import { afterAll, expect, test } from "vitest";
import type { TrainingBatch } from "../packages/dfine/src/train/batch.ts";
import { tinyConfig, tinySource } from "../packages/dfine/test/tinyTraining.ts";
import { type DoneStep, judge, type Lesson, lossesNearby, nudged, relative, stepsOn } from "./trajectory.ts";

const backend = cpu({ threads: 1 });
afterAll(() => backend.dispose());

async function tinyLesson(): Promise<Lesson> {
  const source = tinySource(3);
  const batches: TrainingBatch[] = [];
  for await (const batch of source.batches(0)) batches.push(batch);
  return { config: tinyConfig(), batches, stepsPerEpoch: source.batchesPerEpoch };
}

test("the first three steps may round differently, later ones by three times the CPU's own spread", () => {
  const losses = { device: 10.05, plain: 10.02, fused: 10 };
  expect([1, 2, 3, 4].map((step) => judge(step, losses).ok)).toEqual([false, false, false, true]);
  expect(judge(3, losses)).toMatchObject({ step: 3, allowed: 1e-3 });
  expect(judge(4, losses).difference).toBeCloseTo(5e-3, 12);
  expect(judge(4, losses).spread).toBeCloseTo(2e-3, 12);
  expect(judge(4, losses).allowed).toBeCloseTo(6e-3, 12);
  expect(judge(4, { ...losses, plain: 10 })).toMatchObject({ allowed: 1e-3, ok: false });
  expect(judge(1, { ...losses, device: Number.NaN }).ok).toBe(false);
});

test("pixels move in their last bits", async () => {
  const [batch] = (await tinyLesson()).batches;
  const moved = nudged(batch!, 1);
  const changes = Array.from(moved.images, (value, i) => Math.abs(value - batch!.images[i]!) / batch!.images[i]!);
  expect(changes.filter((change) => change > 0).length).toBeGreaterThan(changes.length / 4);
  expect(Math.max(...changes)).toBeLessThan(2 ** -22);
});

test("a step done again from its state, with such pixels, has nearly its loss, and another step hasn't", async () => {
  const lesson = await tinyLesson();
  const steps: DoneStep[] = [];
  for await (const step of stepsOn(backend, lesson)) steps.push(step);
  expect(steps).toHaveLength(3);
  const [, second, third] = steps as [DoneStep, DoneStep, DoneStep];
  const nearby = await lossesNearby(backend, third, { ...lesson, count: 2 });
  expect(nearby).toHaveLength(2);
  for (const loss of nearby) expect(relative(loss, third.loss)).toBeLessThan(1e-3);
  expect(relative(second.loss, third.loss)).toBeGreaterThan(1e-3);
});
