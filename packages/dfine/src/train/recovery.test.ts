import { type Backend, BackendError, DeviceLostError, liveStorages } from "@dfine/tensor";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LosableBackend, type LossKind, losableBackend } from "../../test/losableBackend.ts";
import { tinyConfig, tinySource } from "../../test/tinyTraining.ts";
import { cocoDataset } from "../data/parseCoco.ts";
import { DeviceError, resolveBackend } from "../device.ts";
import type { BatchSource, TrainData } from "./batch.ts";
import type { TrainEvent } from "./events.ts";
import { trainLoop } from "./loop.ts";
import { Trainer } from "./trainer.ts";
import type { TrainerOptions } from "./trainerOptions.ts";

let inner: Backend;
beforeAll(async () => {
  inner = await resolveBackend("cpu", { threads: 1 });
});
afterAll(() => inner.dispose());

const STEPS = 4;
const config = tinyConfig((c) => Object.assign(c.train, { epochs: 2, snapshotEvery: 3 }));
const IDS = [0, 1];
const val = {
  source: tinySource(1),
  dataset: cocoDataset(
    {
      images: IDS.map((id) => ({ id, file_name: `${id}.png`, width: 96, height: 96 })),
      categories: config.model.classes.map((name, id) => ({ id, name })),
      annotations: IDS.map((id) => ({ id: id + 1, image_id: id, category_id: 0, bbox: [20, 20, 40, 40], area: 1600 })),
    },
    "tiny",
  ),
};
const data: TrainData = { train: tinySource(STEPS), val };

/** Devices of which the first ones are lost at their calls `losses`. */
class Devices {
  readonly made: LosableBackend[] = [];
  readonly #losses: number[];
  readonly #kind: LossKind;

  constructor(losses: readonly number[], kind: LossKind = "at once") {
    this.#losses = [...losses];
    this.#kind = kind;
  }

  next(): LosableBackend {
    const device = losableBackend(inner, { lossAt: this.#losses.shift(), kind: this.#kind });
    this.made.push(device);
    return device;
  }

  options(): TrainerOptions {
    const reviveBackend = async (lost: Backend) => {
      lost.dispose();
      return this.next();
    };
    return { config, backend: this.next(), reviveBackend };
  }
}

interface Told {
  readonly events: TrainEvent[];
  /** Calls of the first device before each event. */
  readonly marks: number[];
}

async function train(trainer: Trainer, devices: Devices, source = data): Promise<Told> {
  const told: Told = { events: [], marks: [] };
  for await (const event of trainLoop(trainer, source)) {
    told.events.push(event);
    told.marks.push(devices.made[0]!.calls);
  }
  return told;
}

/** What a run told, without what depends on the clock and on losses. */
const lasting = (events: readonly TrainEvent[]): unknown[] =>
  events
    .filter((event) => event.kind === "epoch" || (event.kind === "step" && !event.replayed))
    .map((event) => ({ ...event, seconds: 0 }));

describe("a run whose device is lost", () => {
  let whole: Told & { state: Uint8Array; model: Uint8Array; created: number; calls: number };
  beforeAll(async () => {
    const devices = new Devices([]);
    using trainer = await Trainer.create(devices.options());
    const created = devices.made[0]!.calls;
    const told = await train(trainer, devices);
    const [state, model] = [await trainer.saveState(), await trainer.saveModel()];
    whole = { ...told, state, model, created, calls: devices.made[0]!.calls };
  });

  async function endsTheSame(losses: readonly number[], kind: LossKind = "at once"): Promise<TrainEvent[]> {
    const devices = new Devices(losses, kind);
    using trainer = await Trainer.create(devices.options());
    const { events } = await train(trainer, devices);
    expect(lasting(events)).toEqual(lasting(whole.events));
    expect(Buffer.compare(await trainer.saveState(), whole.state)).toBe(0);
    expect(Buffer.compare(await trainer.saveModel(), whole.model)).toBe(0);
    expect(devices.made[0]!.isLost).toBe(true);
    expect(devices.made).toHaveLength(1 + events.filter(({ kind }) => kind === "recovery").length);
    return events;
  }

  // First of all: what a device lost while it was set up leaves half made is the collector's.
  test("leaves nothing on any device", async () => {
    const [storages, { buffers }] = [liveStorages(), inner.memory()];
    await endsTheSame([call({ kind: "step", step: 2 }) + 40]);
    expect(liveStorages()).toBe(storages);
    expect(inner.memory().buffers).toBe(buffers);
  });

  const moment = () => fc.integer({ min: whole.created, max: whole.calls - 1 });
  const kinds = fc.constantFrom<LossKind>("at once", "at the next read");

  test("at any moment ends with the same bits, having told every step once", () =>
    fc.assert(
      fc.asyncProperty(moment(), kinds, async (at, kind) => {
        await endsTheSame([at], kind);
      }),
      { numRuns: 6 },
    ));

  /** Calls between two events of the undisturbed run. */
  const call = (event: { kind: TrainEvent["kind"]; step: number }): number =>
    whole.marks[whole.events.findIndex(({ kind, step }) => kind === event.kind && step === event.step)]!;

  test.each<[string, () => number, { step: number; lostAt: number; replayed: number[] }]>([
    ["before any step", () => whole.created, { step: 0, lostAt: 0, replayed: [] }],
    ["in the third step", () => call({ kind: "step", step: 2 }) + 40, { step: 0, lostAt: 2, replayed: [1, 2] }],
    ["in the snapshot", () => call({ kind: "step", step: 3 }), { step: 0, lostAt: 3, replayed: [1, 2, 3] }],
    ["in the evaluation", () => call({ kind: "step", step: 4 }) + 40, { step: 3, lostAt: 4, replayed: [4] }],
    ["in an epoch's last snapshot", () => call({ kind: "epoch", step: 4 }) - 1, { step: 3, lostAt: 4, replayed: [4] }],
    ["after an epoch", () => call({ kind: "epoch", step: 4 }), { step: 4, lostAt: 4, replayed: [] }],
  ])("%s goes back to the snapshot before", async (_, at, { replayed, ...expected }) => {
    const events = await endsTheSame([at()]);
    const reason = `fake device: lost at call ${at()}`;
    expect(events.find(({ kind }) => kind === "recovery")).toMatchObject({ ...expected, reason });
    expect(events.flatMap((event) => (event.kind === "step" && event.replayed ? event.step : []))).toEqual(replayed);
  });

  test("before the state is saved saves what the last snapshot has, the same bits", () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: call({ kind: "epoch", step: 8 }), max: whole.calls - 1 }), async (at) => {
        expect((await endsTheSame([at])).filter(({ kind }) => kind === "recovery")).toEqual([]);
      }),
      { numRuns: 2 },
    ));

  test("with the next device too, while that restores or later, ends with the same bits", () =>
    fc.assert(
      fc.asyncProperty(
        moment(),
        fc.oneof(fc.nat(whole.created), fc.nat(whole.calls)),
        kinds,
        async (at, next, kind) => {
          const devices = new Devices([at, next], kind);
          using trainer = await Trainer.create(devices.options());
          const { events } = await train(trainer, devices);
          expect(lasting(events)).toEqual(lasting(whole.events));
          expect(Buffer.compare(await trainer.saveState(), whole.state)).toBe(0);
        },
      ),
      { numRuns: 6 },
    ));

  test("goes back to the state that was restored, while there is no snapshot", async () => {
    const first = new Devices([]);
    using begun = await Trainer.create(first.options());
    for await (const { step } of trainLoop(begun, data)) if (step === 2) break;
    const state = await begun.saveState();
    const devices = new Devices([]);
    using trainer = await Trainer.restore(state, devices.options());
    const source = losing(devices, () => devices.made.length === 1);
    const { events } = await train(trainer, devices, { ...data, train: source });
    expect(events[0]).toMatchObject({ kind: "recovery", step: 2, lostAt: 2 });
    expect(Buffer.compare(await trainer.saveState(), whole.state)).toBe(0);
  });

  test("three times without a new step stops, and what is saved then goes on elsewhere", async () => {
    const devices = new Devices([]);
    using trainer = await Trainer.create(devices.options());
    const failure = await train(trainer, devices, { ...data, train: losing(devices, (step) => step === 6) }).catch(
      (e: unknown) => e,
    );
    expect(failure).toBeInstanceOf(DeviceLostError);
    expect((failure as Error).message).toMatch(
      /^training stopped: the device was lost 3 times in a row without getting past step 6; the last time: fake device: .*--device cpu/,
    );
    expect(devices.made).toHaveLength(3);
    const elsewhere = new Devices([]);
    using other = await Trainer.restore(await trainer.saveState(), elsewhere.options());
    expect(other.progress.step).toBe(4);
    await train(other, elsewhere);
    expect(Buffer.compare(await other.saveState(), whole.state)).toBe(0);
  });

  test("again and again, but later each time, is no reason to stop", async () => {
    const devices = new Devices([]);
    using trainer = await Trainer.create(devices.options());
    let lost = -1;
    const source = losing(devices, (step) => {
      const isNew = step > lost;
      lost = Math.max(lost, step);
      return isNew;
    });
    const { events } = await train(trainer, devices, { ...data, train: source });
    expect(events.filter(({ kind }) => kind === "recovery")).toHaveLength(2 * STEPS);
    expect(Buffer.compare(await trainer.saveState(), whole.state)).toBe(0);
  });
});

/** Batches before which the newest device is lost, where `when` says so of the steps done. */
const losing = (devices: Devices, when: (step: number) => boolean): BatchSource => ({
  batchesPerEpoch: STEPS,
  async *batches(epoch, options) {
    for await (const batch of data.train.batches(epoch, options)) {
      if (when(epoch * STEPS + batch.index)) devices.made.at(-1)!.lose();
      yield batch;
    }
  },
});

describe("a run that can't be helped ends with what the backend said", () => {
  test("without a way to replace the device", async () => {
    const devices = new Devices([]);
    const { reviveBackend: _, ...options } = devices.options();
    using trainer = await Trainer.create(options);
    const run = train(trainer, devices, { ...data, train: losing(devices, (step) => step === 2) });
    await expect(run).rejects.toThrow(new DeviceLostError("fake device: lost"));
    await expect(trainer.saveState()).rejects.toThrow(DeviceLostError);
  });

  test("when memory runs out, without another try", async () => {
    const devices = new Devices([]);
    using trainer = await Trainer.create(devices.options());
    const full = new BackendError("fake device: 8 GB asked, 4 GB there; a batch of 2 would fit");
    const source = {
      ...data,
      train: tinySource(STEPS, (batch) => ({
        ...batch,
        get images(): Float32Array {
          throw full;
        },
      })),
    };
    await expect(train(trainer, devices, source)).rejects.toBe(full);
    expect(devices.made).toHaveLength(1);
  });

  test("when there is no other device", async () => {
    const devices = new Devices([]);
    const none = new DeviceError("no adapter was found");
    using trainer = await Trainer.create({ ...devices.options(), reviveBackend: () => Promise.reject(none) });
    await expect(train(trainer, devices, { ...data, train: losing(devices, (step) => step === 2) })).rejects.toBe(none);
  });
});
