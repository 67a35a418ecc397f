import { readSafetensors } from "@dfine/nn";
import { type Backend, liveStorages, OutOfMemoryError } from "@dfine/tensor";
import { kernelCount } from "@dfine/tensor/kernel";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { losableBackend } from "../../test/losableBackend.ts";
import { tinyConfig, tinySource } from "../../test/tinyTraining.ts";
import { resolveBackend } from "../device.ts";
import { DFine } from "../dfine.ts";
import type { TrainingBatch } from "./batch.ts";
import type { StepEvent } from "./events.ts";
import { trainLoop } from "./loop.ts";
import { NonFiniteError } from "./nonFinite.ts";
import { Trainer } from "./trainer.ts";

let backend: Backend;
beforeAll(async () => {
  backend = await resolveBackend("cpu", { threads: 1 });
});
afterAll(() => backend.dispose());

async function run(trainer: Trainer, source = tinySource(4), maxSteps?: number): Promise<StepEvent[]> {
  const steps: StepEvent[] = [];
  const loop = trainLoop(trainer, { train: source }, maxSteps === undefined ? {} : { maxSteps });
  for await (const event of loop) if (event.kind === "step") steps.push(event);
  return steps;
}

describe("resuming", () => {
  test.each([4, 6])("after step %i gives the same bits as going on", async (stop) => {
    const config = tinyConfig();
    using whole = await Trainer.create({ config, backend });
    await run(whole);
    using first = await Trainer.create({ config, backend });
    await run(first, tinySource(4), stop);
    const state = await first.saveState();
    using second = await Trainer.restore(state, { config, backend });
    const steps = await run(second);
    expect(steps).toHaveLength(8 - stop);
    expect(Buffer.compare(await second.saveState(), await whole.saveState())).toBe(0);
  });

  test("a state restored in memory undoes the steps after it", async () => {
    const config = tinyConfig();
    using trainer = await Trainer.create({ config, backend });
    await run(trainer, tinySource(4), 2);
    const state = await trainer.saveState();
    await run(trainer, tinySource(4), 4);
    expect(Buffer.compare(await trainer.saveState(), state)).not.toBe(0);
    await trainer.restoreState(state);
    expect(Buffer.compare(await trainer.saveState(), state)).toBe(0);
  });
});

test("before each step the program sees to its events", async () => {
  using trainer = await Trainer.create({ config: tinyConfig(), backend });
  let [events, steps] = [0, 0];
  for await (const batch of tinySource(4).batches(0)) {
    setImmediate(() => events++);
    await trainer.step(batch, 4);
    expect(events).toBe(++steps);
  }
});

test("one thread and two give the same bits", async () => {
  const states: Uint8Array[] = [];
  for (const threads of [1, 2]) {
    const own = await resolveBackend("cpu", { threads });
    using trainer = await Trainer.create({ config: tinyConfig(), backend: own });
    await run(trainer, tinySource(4), 3);
    states.push(await trainer.saveState());
    own.dispose();
  }
  expect(Buffer.compare(states[0]!, states[1]!)).toBe(0);
});

test("training on one batch finds its boxes", async () => {
  using trainer = await Trainer.create({ config: tinyConfig((c) => Object.assign(c.train, { epochs: 90 })), backend });
  const one = (await tinySource(1).batches(0)[Symbol.asyncIterator]().next()).value as TrainingBatch;
  const steps = await run(
    trainer,
    tinySource(1, () => one),
  );
  // The total starts low, because distributions that are all alike give nothing to distil.
  const boxes = ({ losses }: StepEvent): number => losses.loss_bbox! + losses.loss_giou!;
  expect(boxes(steps.at(-1)!)).toBeLessThan(0.5 * boxes(steps[0]!));
});

test("a step's kernels are compiled ahead once for each device; what goes wrong there is left to the step", async () => {
  const config = tinyConfig();
  const twoSteps = async (trainer: Trainer) => {
    const losses: number[] = [];
    for await (const batch of tinySource(2).batches(0)) losses.push((await trainer.step(batch, 2)).loss);
    return losses;
  };
  using plain = await Trainer.create({ config, backend });
  const expected = await twoSteps(plain);
  const precompile = vi.fn((_work: () => unknown) => Promise.reject(new OutOfMemoryError("fake device: full", "less")));
  const device = () => Object.assign(losableBackend(backend), { precompile });
  using trainer = await Trainer.create({ config, backend: device(), reviveBackend: async () => device() });
  for (const times of [1, 2]) {
    expect(await twoSteps(trainer)).toEqual(expected);
    expect(precompile).toHaveBeenCalledTimes(times);
    await trainer.recover();
  }
});

test("fifty steps with changing box counts leave no storage behind and build no kernel after the second", async () => {
  using trainer = await Trainer.create({ config: tinyConfig((c) => Object.assign(c.train, { epochs: 1 })), backend });
  await run(trainer, tinySource(52), 2);
  const [storages, kernels] = [liveStorages(), kernelCount()];
  await run(trainer, tinySource(52), 52);
  expect(liveStorages()).toBe(storages);
  expect(kernelCount()).toBe(kernels);
});

describe("losses that are not finite", () => {
  const poisoned = (from: number) =>
    tinySource(20, (batch) => (batch.index >= from ? { ...batch, images: batch.images.map(() => Number.NaN) } : batch));

  test("change nothing and are counted", async () => {
    using trainer = await Trainer.create({ config: tinyConfig(), backend });
    await run(trainer, poisoned(2), 2);
    const tensors = async () => {
      const { metadata: _, entries } = readSafetensors(await trainer.saveState());
      return new Map([...entries].map(([name, { bytes }]) => [name, Buffer.from(bytes)]));
    };
    const before = await tensors();
    const [step] = await run(trainer, poisoned(2), 3);
    expect(step!.skipped).toBe(true);
    expect(trainer.progress.skipped).toBe(1);
    const changed = [...(await tensors())].filter(([name, bytes]) => !bytes.equals(before.get(name)!));
    expect(changed.map(([name]) => name)).toEqual([]);
  });

  test("stop the run after five in a row, saying where", async () => {
    using trainer = await Trainer.create({ config: tinyConfig(), backend });
    const failure = await run(trainer, poisoned(1)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(NonFiniteError);
    expect((failure as NonFiniteError).report).toMatchObject({ step: 6, imageIds: [10, 11] });
    expect((failure as NonFiniteError).message).toContain("5 steps in a row");
  });
});

test("weights go from the trainer to a detector and through its file", async () => {
  using trainer = await Trainer.create({ config: tinyConfig(), backend });
  using detector = await DFine.fromPretrained(await trainer.saveModel(), { device: backend });
  using again = await DFine.fromPretrained(await detector.save(), { device: backend });
  const image = { width: 50, height: 40, data: Uint8Array.from({ length: 6000 }, (_, i) => (i * 7) % 256) };
  const [a] = await detector.detect(image, { threshold: 0 });
  const [b] = await again.detect(image, { threshold: 0 });
  expect(a!.length).toBeGreaterThan(0);
  expect(b!.toJSON()).toEqual(a!.toJSON());
  for (const { box, label } of a!) {
    expect(["one", "two", "three"]).toContain(label);
    expect(box.xmin >= 0 && box.xmax <= 50 && box.ymin >= 0 && box.ymax <= 40).toBe(true);
  }
});
