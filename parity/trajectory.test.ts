import { cpu } from "@dfine/backend-cpu";
import { expect, test } from "vitest";
import type { TrainingBatch } from "../packages/dfine/src/train/batch.ts";
import { tinyConfig, tinySource } from "../packages/dfine/test/tinyTraining.ts";
import { judge, lossesOn } from "./trajectory.ts";

test("the first three steps may round differently, later ones by three times the CPU's own spread so far", () => {
  const steps = [1, 2, 3, 4, 5].map(() => ({ device: 10.05, plain: 10.02, fused: 10 }));
  const verdicts = judge(steps);
  expect(verdicts.map(({ ok }) => ok)).toEqual([false, false, false, true, true]);
  expect(verdicts[0]).toMatchObject({ step: 1, allowed: 1e-3 });
  expect(verdicts[0]!.difference).toBeCloseTo(5e-3, 12);
  expect(verdicts[3]!.spread).toBeCloseTo(2e-3, 12);
  expect(verdicts[3]!.allowed).toBeCloseTo(6e-3, 12);
  const once = judge(steps.map((step, i) => ({ ...step, plain: i === 0 ? 10.02 : 10 })));
  expect(once.map(({ ok }) => ok)).toEqual([false, false, false, true, true]);
  expect(once[4]!.allowed).toBeCloseTo(6e-3, 12);
  const calm = judge(steps.map((step) => ({ ...step, plain: 10 })));
  expect(calm.map(({ allowed }) => allowed)).toEqual([1e-3, 1e-3, 1e-3, 1e-3, 1e-3]);
  expect(judge([{ device: Number.NaN, plain: 1, fused: 1 }])[0]!.ok).toBe(false);
});

test("losses come step by step, from the seed", async () => {
  const config = tinyConfig();
  const source = tinySource(2);
  const batches: TrainingBatch[] = [];
  for await (const batch of source.batches(0)) batches.push(batch);
  const backend = cpu({ threads: 1 });
  const heard: number[] = [];
  const options = { batches, stepsPerEpoch: source.batchesPerEpoch };
  const losses = await lossesOn(backend, config, { ...options, onLoss: (loss) => heard.push(loss) });
  expect(losses).toHaveLength(2);
  expect(losses.every(Number.isFinite)).toBe(true);
  expect(heard).toEqual(losses);
  expect(await lossesOn(backend, config, options)).toEqual(losses);
  backend.dispose();
});
