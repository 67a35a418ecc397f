import type { Backend } from "@dfine/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tinyConfig, tinySource } from "../../test/tinyTraining.ts";
import { cocoDataset } from "../data/parseCoco.ts";
import { resolveBackend } from "../device.ts";
import { bestInMemory } from "./bestState.ts";
import type { StageEvent, TrainEvent } from "./events.ts";
import { trainLoop } from "./loop.ts";
import { nextEpoch, startProgress } from "./progress.ts";
import { beginsStage, emaDecayAt, judgeEpoch, stopsEarly } from "./stages.ts";
import { readTrainState } from "./stateFile.ts";
import { Trainer } from "./trainer.ts";

const staged = (stopEpoch: number, epochs: number) =>
  tinyConfig((c) => {
    Object.assign(c.train, { epochs });
    Object.assign(c.train.augmentation, { stopEpoch });
    Object.assign(c.train.ema, { decay: 0.9, restartDecay: 0.8 });
  });

interface Entry {
  readonly epoch: number;
  readonly from: number;
}

/** The loop of det_solver.py over given values: which epochs begin by loading best_stg1, and of which epoch that is. */
function officialLoads(values: readonly number[], stopEpoch: number): Entry[] {
  const loads: Entry[] = [];
  let top1 = 0;
  let record: { epoch: number; value?: number } = { epoch: -1 };
  let stage1 = -1;
  values.forEach((value, epoch) => {
    if (epoch === stopEpoch) loads.push({ epoch, from: stage1 + 1 });
    if (record.value === undefined) record = { epoch, value };
    else if (value > record.value) record = { epoch, value };
    if (record.value! > top1) {
      top1 = record.value!;
      if (epoch < stopEpoch) stage1 = epoch;
    }
    if (record.epoch === epoch) {
      if (epoch < stopEpoch) stage1 = epoch;
    } else if (epoch >= stopEpoch) {
      record = { epoch: -1 };
      loads.push({ epoch: epoch + 1, from: stage1 + 1 });
    }
  });
  return loads.filter(({ epoch }) => epoch < values.length);
}

describe("stages", () => {
  test("go back when and where the official trainer does, for any course of the AP", () =>
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 2, maxLength: 14 }),
        fc.integer({ min: 1, max: 8 }),
        (tenths, stop) => {
          const values = tenths.map((n) => n / 10);
          const stopEpoch = Math.min(stop, values.length - 1);
          const config = staged(stopEpoch, values.length);
          const progress = startProgress();
          const found: Entry[] = [];
          let stage1 = 0;
          for (const [epoch, value] of values.entries()) {
            if (beginsStage(config, progress)) found.push({ epoch, from: stage1 });
            const isBest = !progress.best || value > progress.best.value;
            if (isBest && epoch < stopEpoch) stage1 = epoch + 1;
            judgeEpoch({ config, progress }, { value, isBest });
            nextEpoch(progress);
          }
          expect(found).toEqual(officialLoads(values, stopEpoch));
        },
      ),
    ));

  test("the decay of the average is lower from stage 2 on, and falls with each restart", () => {
    const config = staged(3, 9);
    const at = (epoch: number, restarts: number) =>
      emaDecayAt(config, { epoch, cycle: { restarts, best: null, behind: false } });
    expect([at(0, 0), at(2, 0), at(3, 0)]).toEqual([0.9, 0.9, 0.8]);
    expect(at(5, 2)).toBeCloseTo(0.7998, 12);
    Object.assign(config.train.ema, { restartDecay: 0.99 });
    expect(at(3, 0)).toBe(0.9);
    Object.assign(config.train.augmentation, { stopEpoch: 0 });
    expect(at(5, 0)).toBe(0.9);
  });
});

test("patience counts the epochs without a rise of more than minDelta", () => {
  const config = tinyConfig((c) => Object.assign(c.train, { earlyStop: { patience: 2, minDelta: 0.1 } }));
  const progress = startProgress();
  const ends = [0.2, 0.25, 0.35, 0.4, undefined, 0.44].map((value) => {
    judgeEpoch({ config, progress }, { value, isBest: true });
    return stopsEarly({ config, progress });
  });
  expect(ends).toEqual([false, false, false, false, false, true]);
  Object.assign(config.train.earlyStop, { patience: null });
  expect(stopsEarly({ config, progress })).toBe(false);
});

describe("a run of two stages", () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await resolveBackend("cpu", { threads: 1 });
  });
  afterAll(() => backend.dispose());

  const source = tinySource(2);
  const dataset = cocoDataset(
    {
      images: [0, 1, 2, 3].map((id) => ({ id, file_name: `${id}.png`, width: 96, height: 96 })),
      categories: ["one", "two", "three"].map((name, id) => ({ id, name })),
      annotations: [0, 1, 2, 3].map((id) => ({
        ...{ id, image_id: id, category_id: id % 3, bbox: [20, 20, 40, 40], area: 1600, iscrowd: 0 },
      })),
    },
    "tiny.json",
  );
  const data = { train: source, val: { source, dataset } };

  test("begins stage 2 with the best state of stage 1: weights, averages, moments; and the new decay has an effect", async () => {
    const config = staged(2, 3);
    using trainer = await Trainer.create({ config, backend });
    const best = bestInMemory();
    const events: TrainEvent[] = [];
    let atStart: Uint8Array | undefined;
    for await (const event of trainLoop(trainer, data, { bestState: best })) {
      events.push(event);
      if (event.kind === "stage") atStart = await trainer.saveState();
    }
    const stage = events.find((event): event is StageEvent => event.kind === "stage")!;
    expect(events.map(({ kind }) => kind).indexOf("stage")).toBe(6);
    expect(stage).toMatchObject({ epoch: 2, step: 4, restarts: 0, emaDecay: 0.8 });
    const kept = readTrainState((await best.load())!);
    const begun = readTrainState(atStart!);
    expect(stage.from).toBe(kept.progress.epoch);
    expect([begun.progress.step, begun.progress.epoch]).toEqual([4, 2]);
    for (const part of ["model", "ema", "optimizer"] as const) expect(begun[part]).toEqual(kept[part]);
    expect(begun.emaUpdates).toBe(kept.emaUpdates);

    const other = staged(2, 3);
    Object.assign(other.train.ema, { restartDecay: 0.1 });
    using again = await Trainer.restore(atStart!, { config: other, backend });
    for await (const _ of trainLoop(again, data, { bestState: best }));
    const [ours, theirs] = [readTrainState(await trainer.saveState()), readTrainState(await again.saveState())];
    expect(theirs.model).toEqual(ours.model);
    expect(theirs.ema).not.toEqual(ours.ema);
  });

  test("stopped at any step it ends with the same bits", async () => {
    const config = staged(1, 3);
    using whole = await Trainer.create({ config, backend });
    for await (const _ of trainLoop(whole, data));
    for (const stop of [2, 3, 4]) {
      const bestState = bestInMemory();
      using first = await Trainer.create({ config, backend });
      for await (const _ of trainLoop(first, data, { bestState, maxSteps: stop }));
      using second = await Trainer.restore(await first.saveState(), { config, backend });
      for await (const _ of trainLoop(second, data, { bestState }));
      expect(Buffer.compare(await second.saveState(), await whole.saveState())).toBe(0);
    }
  });

  test("without a state of stage 1 goes on from where it stands, and says so", async () => {
    using trainer = await Trainer.create({ config: staged(1, 2), backend });
    const events: TrainEvent[] = [];
    for await (const event of trainLoop(trainer, { train: source })) events.push(event);
    expect(events.filter(({ kind }) => kind === "stage")).toEqual([
      { kind: "stage", epoch: 1, step: 2, from: undefined, restarts: 0, emaDecay: 0.8 },
    ]);
  });
});
