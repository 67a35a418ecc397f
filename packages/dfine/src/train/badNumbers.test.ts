import { type Module, readSafetensors } from "@dfine/nn";
import { type Backend, copyInto, tensor, withBackend } from "@dfine/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { changedValue } from "../../test/changedFile.ts";
import { tinyConfig, tinySource } from "../../test/tinyTraining.ts";
import { cocoDataset } from "../data/parseCoco.ts";
import { resolveBackend } from "../device.ts";
import type { TrainingBatch } from "./batch.ts";
import type { TrainEvent } from "./events.ts";
import { trainLoop } from "./loop.ts";
import { NonFiniteError } from "./nonFinite.ts";
import { Trainer } from "./trainer.ts";

let backend: Backend;
beforeAll(async () => {
  backend = await resolveBackend("cpu", { threads: 1 });
});
afterAll(() => backend.dispose());

const SOME = "decoder.dec_score_head.0.weight";

/** Puts one NaN into a parameter. */
function poison(model: Module): void {
  withBackend(backend, () => {
    const weight = model.namedParameters().get(SOME)!;
    const values = new Float32Array(weight.size).fill(0.01);
    values[3] = Number.NaN;
    const source = tensor(values, weight.shape);
    copyInto(weight, source);
    source.dispose();
  });
}

async function collect(trainer: Trainer, data: Parameters<typeof trainLoop>[1]): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of trainLoop(trainer, data)) events.push(event);
  return events;
}

describe("numbers that are not finite", () => {
  const nan = (batch: TrainingBatch) => ({ ...batch, images: batch.images.map(() => Number.NaN) });

  test("in the loss: steps are skipped, and after train.limits.nonFiniteSteps of them the run stops", async () => {
    for (const steps of [1, 3]) {
      const config = tinyConfig((c) => Object.assign(c.train.limits, { nonFiniteSteps: steps }));
      using trainer = await Trainer.create({ config, backend });
      const source = tinySource(9, (batch) => (batch.index >= 2 ? nan(batch) : batch));
      const error = await thrown(() => collect(trainer, { train: source }));
      expect(error).toBeInstanceOf(NonFiniteError);
      expect(trainer.progress).toMatchObject({ step: 2 + steps, skipped: steps });
      if (steps === 3) says("loss-nan", error);
    }
  });

  test("in the weights: they are named", async () => {
    using trainer = await Trainer.create({ config: tinyConfig(), backend });
    poison(trainer.model);
    const error = await thrown(() => collect(trainer, { train: tinySource(9) }));
    says("weights-nan", error);
    expect((error as NonFiniteError).report.weights).toEqual([SOME]);
  });

  test("in the averaged weights: they become no checkpoint", async () => {
    using trainer = await Trainer.create({ config: tinyConfig(), backend });
    const state = await trainer.saveState();
    const bad = { tensor: `ema.${SOME}`, element: 1, value: Number.POSITIVE_INFINITY };
    await trainer.restoreState(changedValue(state, bad));
    says("weights-average-nan", await thrown(() => trainer.saveModel()));
  });
});

describe("nothing to find", () => {
  const none = { labels: new Int32Array(0), boxes: new Float32Array(0) };
  const withoutBoxes = (batch: TrainingBatch): TrainingBatch => ({ ...batch, targets: [none, none] });
  const weightsOf = async (trainer: Trainer) => {
    const { entries } = readSafetensors(await trainer.saveState());
    return Buffer.concat([...entries].filter(([name]) => name.startsWith("model.")).map(([, { bytes }]) => bytes));
  };

  test("a batch without boxes is learned from like any other: [batch-without-boxes]", async () => {
    using trainer = await Trainer.create({ config: tinyConfig(), backend });
    const source = tinySource(3, (batch) => (batch.index === 1 ? withoutBoxes(batch) : batch));
    const events = await collect(trainer, { train: source });
    for (const event of events) {
      if (event.kind !== "step") continue;
      expect([event.skipped, Number.isFinite(event.loss), Number.isFinite(event.gradientNorm)]).toEqual([
        false,
        true,
        true,
      ]);
      expect(event.loss).toBeGreaterThan(0);
      expect(event.gradientNorm).toBeGreaterThan(0);
    }
  });

  test("whole epochs without boxes too, their evaluation included: [epoch-without-boxes]", async () => {
    using trainer = await Trainer.create({ config: tinyConfig(), backend });
    const before = await weightsOf(trainer);
    const dataset = cocoDataset(
      {
        images: [0, 1, 2, 3].map((id) => ({ id, file_name: `${id}.png`, width: 96, height: 96 })),
        categories: ["one", "two", "three"].map((name, id) => ({ id, name })),
        annotations: [],
      },
      "empty.json",
    );
    const source = tinySource(2, withoutBoxes);
    const events = await collect(trainer, { train: source, val: { source, dataset } });
    expect(events.map(({ kind }) => kind)).toEqual(["step", "step", "epoch", "step", "step", "epoch"]);
    for (const event of events) {
      if (event.kind === "recovery" || event.kind === "stage") continue;
      expect(Number.isFinite(event.loss)).toBe(true);
      expect(Number(event.skipped)).toBe(0);
      // COCO's value for "there was nothing to find".
      if (event.kind === "epoch") expect(event.evaluation!.result.stats.AP).toBe(-1);
    }
    expect(before.equals(await weightsOf(trainer))).toBe(false);
    await expect(trainer.saveModel()).resolves.toBeDefined();
  });
});
