import type { Backend } from "@dfine/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tinyDetr } from "../../test/tinyDetr.ts";
import { tinySource } from "../../test/tinyTraining.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { DETR_PRESET_NAMES } from "../config/config.ts";
import type { Methods } from "../config/criteria.ts";
import { createImage } from "../data/image.ts";
import { resolveBackend } from "../device.ts";
import { DFine } from "../dfine.ts";
import type { TrainingBatch } from "./batch.ts";
import { Trainer } from "./trainer.ts";
import type { StepResult } from "./trainStep.ts";

let backend: Backend;
beforeAll(async () => {
  backend = await resolveBackend("cpu", { threads: 1 });
});
afterAll(() => backend.dispose());

const plain: Methods = { fdr: false, goLsd: false };
const both: Methods = { fdr: true, goLsd: true };

/** The second image is only as large as its upper left part. */
const padded = (batch: TrainingBatch): TrainingBatch => ({
  ...batch,
  resize: "shortestEdge",
  validSizes: [
    [96, 96],
    [80, 64],
  ],
});

const mean = (some: readonly StepResult[]) => some.reduce((sum, { loss }) => sum + loss, 0) / some.length;

describe.each(DETR_PRESET_NAMES)("%s", (family) => {
  test.each([
    ["plain", plain],
    ["with FDR and GO-LSD", both],
  ])("learns, %s: 20 steps on one batch", async (_, methods) => {
    const config = tinyDetr(family, methods);
    using trainer = await Trainer.create({ config, backend });
    const steps: StepResult[] = [];
    for await (const batch of tinySource(1, padded).batches(0))
      for (let i = 0; i < 20; i++) steps.push(await trainer.step(batch, 20));
    expect(steps.every(({ loss, skipped }) => Number.isFinite(loss) && !skipped)).toBe(true);
    expect(mean(steps.slice(-4))).toBeLessThan(0.9 * mean(steps.slice(0, 4)));
    const bytes = await trainer.saveModel();
    expect(openCheckpoint(bytes).model).toEqual(config.model);
    using detector = await DFine.fromPretrained(bytes, { device: backend });
    const [wide, high] = await detector.detect([createImage(100, 80), createImage(50, 96)], { threshold: 0 });
    expect(wide!.objects.length).toBeGreaterThan(0);
    expect(high!.objects.length).toBeGreaterThan(0);
  });
});
