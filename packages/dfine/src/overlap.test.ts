import { type Backend, DeviceLostError, liveStorages, OwnershipError, Random } from "@dfine/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { losableBackend } from "../test/losableBackend.ts";
import { tinyConfig, tinySource } from "../test/tinyTraining.ts";
import type { RgbImage } from "./data/image.ts";
import { resolveBackend } from "./device.ts";
import { continueTurns, inTurn } from "./deviceQueue.ts";
import { DFine } from "./dfine.ts";
import type { TrainingBatch } from "./train/batch.ts";
import { trainLoop } from "./train/loop.ts";
import { Trainer } from "./train/trainer.ts";

const config = tinyConfig();
const images = Array.from({ length: 4 }, (_, i): RgbImage => {
  const random = new Random(i);
  return { width: 50, height: 40, data: Uint8Array.from({ length: 6000 }, () => random.integer(256)) };
});
const batches: TrainingBatch[] = [];
let [backend, other, weights] = [] as unknown as [Backend, Backend, Uint8Array];
beforeAll(async () => {
  [backend, other] = [await resolveBackend("cpu", { threads: 1 }), await resolveBackend("cpu", { threads: 1 })];
  using trainer = await Trainer.create({ config, backend });
  weights = await trainer.saveModel();
  for await (const batch of tinySource(3).batches(0)) batches.push(batch);
});
afterAll(() => {
  for (const one of [backend, other]) one.dispose();
});

const open = (device: Backend) => DFine.fromPretrained(weights, { device });
const begin = (device: Backend) => Trainer.create({ config, backend: device });
const held = () => [liveStorages(), ...[backend, other].map((one) => one.memory().buffers)];
const found = async (detector: DFine, given: readonly RgbImage[], signal?: AbortSignal): Promise<unknown[]> =>
  (await detector.detect(given, { threshold: 0, ...(signal ? { signal } : {}) })).map((result) => result.toJSON());
const lossesOf = (trainer: Trainer) => Promise.all(batches.map((batch) => trainer.step(batch, 3)));

describe("calls at the same time", () => {
  test("detect on several detectors and lists", async () => {
    const before = held();
    {
      using first = await open(backend);
      using second = await open(other);
      const expected = await found(first, images);
      const lists = images.map((_, i) => images.slice(i));
      const all = await Promise.all(lists.flatMap((list) => [found(first, list), found(second, list)]));
      expect(all).toEqual(images.flatMap((_, i) => [expected.slice(i), expected.slice(i)]));
    }
    expect(held()).toEqual(before);
  });

  test("two training runs, on one backend and on two, and detecting meanwhile", async () => {
    const run = async (device: Backend) => {
      using trainer = await begin(device);
      const events: unknown[] = [];
      for await (const event of trainLoop(trainer, { train: tinySource(3) }, { maxSteps: 3 }))
        events.push({ ...event, seconds: 0 });
      return { events, state: await trainer.saveState() };
    };
    const before = held();
    const alone = await run(backend);
    {
      using detector = await open(backend);
      const expected = await found(detector, images);
      const detections = Promise.all(Array.from({ length: 6 }, () => found(detector, images)));
      expect(await Promise.all([backend, backend, other].map(run))).toEqual([alone, alone, alone]);
      expect(await detections).toEqual(new Array(6).fill(expected));
    }
    expect(held()).toEqual(before);
  });

  test("steps of one trainer are done in the order of their calls, and a bad one in between hurts none", async () => {
    using one = await begin(backend);
    using two = await begin(other);
    const expected: unknown[] = [];
    for (const batch of batches) expected.push(await one.step(batch, 3));
    const bad = { ...batches[0]!, images: new Float32Array(7) };
    const [first, wrong, ...rest] = [batches[0]!, bad, batches[1]!, batches[2]!].map((batch) => two.step(batch, 3));
    const state = two.saveState();
    await expect(wrong).rejects.toThrow("7");
    expect(await Promise.all([first, ...rest])).toEqual(expected);
    expect(Buffer.compare(await state, await one.saveState())).toBe(0);
  });

  test("one that is aborted rejects with its reason, and the others go on", async () => {
    const before = held();
    {
      using detector = await open(backend);
      const expected = await found(detector, images);
      const abort = new AbortController();
      const calls = [found(detector, images), found(detector, images, abort.signal), found(detector, images)];
      setImmediate(() => abort.abort(new RangeError("enough")));
      const [first, aborted, last] = await Promise.allSettled(calls);
      expect([first, last]).toEqual([1, 2].map(() => ({ status: "fulfilled", value: expected })));
      expect(aborted).toMatchObject({ status: "rejected", reason: { message: "enough" } });
    }
    expect(held()).toEqual(before);
  });

  test("one that runs alone sees its signal between batches", async () => {
    using detector = await open(backend);
    const abort = new AbortController();
    const many = Array.from({ length: 40 }, (_, i) => images[i % images.length]!);
    setTimeout(() => abort.abort(new RangeError("enough")));
    await expect(detector.detect(many, { batch: 1, signal: abort.signal })).rejects.toThrow("enough");
  });
});

/** A backend whose reads take a turn of the loop, as a device's do. */
const slowly = (inner: Backend): Backend => ({
  ...inner,
  async read(sources) {
    const reading = inner.read(sources);
    await new Promise((resolve) => setImmediate(resolve));
    return reading;
  },
});

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

describe("what is disposed while calls are under way", () => {
  const reasons = async (calls: readonly Promise<unknown>[]): Promise<unknown[]> =>
    (await Promise.allSettled(calls)).flatMap((call) => (call.status === "rejected" ? [call.reason] : []));

  test.each([0, 1, 2, 3, 4, 5, 6, 8, 12])("a trainer, after %i turns of the loop", async (count) => {
    const before = held();
    const trainer = await begin(slowly(backend));
    const dataset = { images: [], annotations: [], categories: [] } as never;
    const evaluating = Promise.allSettled([
      trainer.evaluate({ batchesPerEpoch: 1, batches: () => tinySource(1).batches(0) }, dataset),
    ]);
    const calls = [...batches.map((batch) => trainer.step(batch, 3)), trainer.saveState(), trainer.saveModel()];
    await turns(count);
    trainer.dispose();
    const told = await reasons(calls);
    for (const reason of told)
      expect(reason).toEqual(new OwnershipError("trainer: it was disposed before this call ended"));
    if (count === 0) expect(told).toHaveLength(calls.length);
    await evaluating;
    await expect(trainer.step(batches[0]!, 3)).rejects.toThrow("trainer: it was disposed");
    expect(held()).toEqual(before);
  });

  test.each([0, 1, 2, 5])("a detector, after %i turns of the loop", async (count) => {
    const before = held();
    const detector = await open(slowly(backend));
    const calls = [0, 1, 2].map(() => found(detector, images));
    await turns(count);
    detector.dispose();
    for (const reason of await reasons(calls)) expect(reason).toBeInstanceOf(OwnershipError);
    await expect(found(detector, images)).rejects.toThrow("DFine: this detector was disposed");
    expect(held()).toEqual(before);
  });

  test.each([0, 1, 2, 5])("a detector and the backend made for it, after %i turns of the loop", async (count) => {
    const storages = liveStorages();
    const detector = await DFine.fromPretrained(weights, { device: "cpu", threads: 1 });
    const calls = [0, 1, 2].map(() => found(detector, images));
    await turns(count);
    detector.dispose();
    for (const reason of await reasons(calls)) expect(reason).toBeInstanceOf(OwnershipError);
    expect(liveStorages()).toBe(storages);
  });
});

test("a device that is lost fails the calls under way; those begun after recover() wait for the next device", async () => {
  const before = held();
  {
    using whole = await begin(other);
    const expected = await lossesOf(whole);
    const lost = losableBackend(backend);
    using trainer = await Trainer.create({ config, backend: lost, reviveBackend: async () => losableBackend(other) });
    const calls = [...batches.map((batch) => trainer.step(batch, 3))];
    await calls[0];
    lost.lose();
    const state = trainer.saveState();
    for (const call of (await Promise.allSettled(calls)).slice(1))
      expect(call).toMatchObject({ status: "rejected", reason: expect.any(DeviceLostError) });
    const recovering = trainer.recover();
    const repeated = batches.map((batch) => trainer.step(batch, 3));
    await recovering;
    const [more, end] = [trainer.saveState(), whole.saveState()];
    expect(await Promise.all(repeated)).toEqual(expected);
    expect(Buffer.compare(await more, await end)).toBe(0);
    expect(Buffer.compare(await state, await end)).not.toBe(0);
  }
  expect(held()).toEqual(before);
});

describe("turns on a device", () => {
  test("come in order, whatever fails, and on several devices beside each other", async () => {
    const order: string[] = [];
    const task =
      (name: string, waits: number, fails = false) =>
      async () => {
        order.push(`${name} begins`);
        await turns(waits);
        order.push(`${name} ends`);
        if (fails) throw new RangeError(name);
        return name;
      };
    const calls = [
      inTurn(backend, task("a", 20, true)),
      inTurn(backend, () => {
        throw new RangeError("b");
      }),
      inTurn(backend, task("c", 1)),
      inTurn(other, task("elsewhere", 1)),
    ];
    const settled = await Promise.allSettled(calls);
    expect(settled.map((call) => (call.status === "fulfilled" ? call.value : call.reason.message))).toEqual([
      "a",
      "b",
      "c",
      "elsewhere",
    ]);
    expect(order.filter((event) => !event.startsWith("elsewhere"))).toEqual([
      "a begins",
      "a ends",
      "c begins",
      "c ends",
    ]);
    expect(order.indexOf("elsewhere ends")).toBeLessThan(order.indexOf("a ends"));
  });

  test("go on where a device is replaced", async () => {
    const [lost, next] = [losableBackend(backend), losableBackend(backend)];
    const order: number[] = [];
    let first: Promise<unknown> | undefined;
    await new Promise<void>((begun) => {
      first = inTurn(lost, async () => {
        continueTurns(lost, next);
        begun();
        await turns(5);
        order.push(1);
      });
    });
    await inTurn(next, () => order.push(2));
    await first;
    expect(order).toEqual([1, 2]);
  });
});
