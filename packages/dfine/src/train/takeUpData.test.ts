import type { Backend } from "@dfine/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { says } from "../../test/badInput.ts";
import { tinyConfig, tinySource } from "../../test/tinyTraining.ts";
import { DatasetError } from "../data/errors.ts";
import { cocoDataset } from "../data/parseCoco.ts";
import { resolveBackend } from "../device.ts";
import type { TrainData } from "./batch.ts";
import type { TrainEvent } from "./events.ts";
import { trainLoop } from "./loop.ts";
import { startProgress } from "./progress.ts";
import { takeUpData } from "./takeUpData.ts";
import { Trainer } from "./trainer.ts";

interface Given {
  readonly images: number;
  readonly names?: readonly string[];
  /** Category ids begin here. */
  readonly firstId?: number;
  /** Left edge of every box. */
  readonly left?: number;
}

function dataset({ images, names = ["red", "blue"], firstId = 0, left = 1 }: Given) {
  const ids = Array.from({ length: images }, (_, i) => i);
  return cocoDataset(
    {
      images: ids.map((id) => ({ id, file_name: `${id}.png`, width: 90, height: 90 })),
      categories: names.map((name, i) => ({ id: firstId + i, name })),
      annotations: ids.map((id) => ({ id, image_id: id, category_id: firstId, bbox: [left, 20, 30, 30] })),
    },
    "a.json",
  );
}

/** Two images a step. */
function data(train: Given, val?: Given): TrainData {
  const source = { ...tinySource(Math.floor(train.images / 2)), dataset: dataset(train) };
  return { train: source, ...(val ? { val: { source: tinySource(1), dataset: dataset(val) } } : {}) };
}

/** A run with `before` that stands at a step; `forgetful` as from a state that remembers no data. */
function standing(before: TrainData, { step, forgetful = false }: { step: number; forgetful?: boolean }) {
  const perEpoch = before.train.batchesPerEpoch;
  const config = tinyConfig((c) => Object.assign(c.model, { classes: ["red", "blue"] }));
  const run = { config, progress: startProgress(), learnedFrom: undefined } as Parameters<typeof takeUpData>[0];
  expect(takeUpData(run, before)).toEqual([]);
  Object.assign(run.progress, { step, epoch: Math.floor(step / perEpoch), stepInEpoch: step % perEpoch });
  if (forgetful) run.learnedFrom = undefined;
  return run;
}

const failure = (call: () => unknown): unknown => {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe("a run that goes on", () => {
  const eight = data({ images: 8 });

  test("with the same data says nothing, wherever it stands", () => {
    for (let step = 0; step < 9; step++)
      for (const forgetful of [true, false])
        expect(takeUpData(standing(eight, { step, forgetful }), data({ images: 8 }))).toEqual([]);
  });

  test("with the same images under other category ids says nothing", () => {
    expect(takeUpData(standing(eight, { step: 3 }), data({ images: 8, firstId: 5 }))).toEqual([]);
  });

  test.each<[string, string[]]>([
    ["swapped", ["blue", "red"]],
    ["renamed", ["dog", "blue"]],
    ["removed", ["red"]],
    ["added", ["first", "red", "blue"]],
    ["added at the end", ["red", "blue", "dog"]],
  ])("with categories that are %s is refused, also when its state remembers none", (_, names) => {
    for (const forgetful of [true, false]) {
      const error = failure(() => takeUpData(standing(eight, { step: 4, forgetful }), data({ images: 8, names })));
      expect(error).toBeInstanceOf(DatasetError);
      expect((error as Error).message).toMatch(/label \d is .*, but the run learned it as .*--weights/);
      if (names[0] === "blue") says("resume-categories", error);
    }
  });

  test("with fewer or more images is refused inside an epoch, and said between epochs", () => {
    const count = fc.integer({ min: 2, max: 12 });
    fc.assert(
      fc.property(count, count, fc.nat(14), (images, now, step) => {
        const before = data({ images });
        const run = standing(before, { step });
        const inside = step % before.train.batchesPerEpoch > 0;
        const error = failure(() => takeUpData(run, data({ images: now })));
        if (inside && now !== images) expect(error).toBeInstanceOf(DatasetError);
        else expect(error).toBeUndefined();
      }),
    );
    says(
      "resume-images",
      failure(() => takeUpData(standing(eight, { step: 3 }), data({ images: 6 }))),
    );
    says("resume-images-between", takeUpData(standing(eight, { step: 4 }), data({ images: 6 })).join());
  });

  test("from a state that remembers nothing is refused where the position has no place in the data", () => {
    const refused = (step: number, images: number) =>
      failure(() => takeUpData(standing(eight, { step, forgetful: true }), data({ images }))) instanceof DatasetError;
    // In the first epoch only a position beyond its end tells; later the steps done tell how many an epoch had.
    expect([refused(3, 6), refused(3, 4), refused(5, 6), refused(5, 10)]).toEqual([false, true, true, true]);
    expect(refused(4, 6)).toBe(false);
  });

  test("with other boxes, or other validation data, says so", () => {
    says("resume-boxes", takeUpData(standing(eight, { step: 3 }), data({ images: 8, left: 2 })).join());
    const unmeasured = standing(data({ images: 8 }, { images: 2 }), { step: 4 });
    for (const val of [{ images: 2, left: 2 }, undefined, { images: 2 }])
      expect(takeUpData(unmeasured, data({ images: 8 }, val))).toEqual(["the validation data is not what it was"]);
    expect(takeUpData(unmeasured, data({ images: 8 }, { images: 2 }))).toEqual([]);
    const run = standing(data({ images: 8 }, { images: 2 }), { step: 4 });
    run.progress.best = { value: 0.25, epoch: 0 };
    says("resume-val", takeUpData(run, data({ images: 8 }, { images: 3 })).join());
    expect(run.progress.best).toBeNull();
  });

  test("remembers what it goes on with", () => {
    const run = standing(eight, { step: 4 });
    expect(takeUpData(run, data({ images: 6 }))).toHaveLength(1);
    expect(takeUpData(run, data({ images: 6 }))).toEqual([]);
  });
});

describe("a whole run", () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await resolveBackend("cpu", { threads: 1 });
  });
  afterAll(() => backend.dispose());

  test("counts its epochs right, and lowers its rate at the right one, when their lengths change", async () => {
    const config = tinyConfig((c) => {
      Object.assign(c.train, {
        epochs: 3,
        schedule: { ...c.train.schedule, warmupSteps: 0, milestones: [2], gamma: 0.1 },
      });
    });
    using first = await Trainer.create({ config, backend });
    const events: TrainEvent[] = [];
    for await (const event of trainLoop(first, { train: tinySource(4) }, { maxSteps: 4 })) events.push(event);
    using second = await Trainer.restore(await first.saveState(), { config, backend });
    for await (const event of trainLoop(second, { train: tinySource(2) })) events.push(event);
    const rate = config.train.optimizer.learningRate;
    expect(
      events.flatMap((event) => (event.kind === "step" ? [[event.epoch, event.step, event.stepsInAll]] : [])),
    ).toEqual([
      ...[1, 2, 3, 4].map((step) => [0, step, 4]),
      ...[5, 6].map((step) => [1, step, 8]),
      ...[7, 8].map((step) => [2, step, 8]),
    ]);
    const rates = events.flatMap((event) => (event.kind === "step" ? [event.learningRate / rate] : []));
    for (const [i, factor] of [1, 1, 1, 1, 1, 1, 0.1, 0.1].entries()) expect(rates[i]).toBeCloseTo(factor, 12);
    expect(events.filter(({ kind }) => kind === "epoch").map(({ epoch }) => epoch)).toEqual([0, 1, 2]);
  });

  test("does not run on for ever from a position beyond the end of an epoch", async () => {
    const config = tinyConfig();
    using first = await Trainer.create({ config, backend });
    for await (const { step } of trainLoop(first, { train: tinySource(4) })) if (step === 3) break;
    using second = await Trainer.restore(await first.saveState(), { config, backend });
    await expect(trainLoop(second, { train: tinySource(2) }).next()).rejects.toThrow(DatasetError);
  });
});
