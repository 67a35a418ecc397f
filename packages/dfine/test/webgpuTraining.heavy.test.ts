import { cpu } from "@dfine/backend-cpu";
import { type WebGpuBackend, webgpu } from "@dfine/backend-webgpu";
import { type Backend, liveStorages, OutOfMemoryError, Random, withBackend } from "@dfine/tensor";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { oneDevice } from "../../backend-webgpu/test/oneDevice.ts";
import type { Config } from "../src/config/config.ts";
import { resolveConfig } from "../src/config/resolve.ts";
import { DFineModel } from "../src/model/dfineModel.ts";
import { modelPredictor } from "../src/predictor.ts";
import type { BatchSource, TrainingBatch } from "../src/train/batch.ts";
import { DeviceState } from "../src/train/deviceState.ts";
import type { TrainEvent } from "../src/train/events.ts";
import { trainLoop } from "../src/train/loop.ts";
import { startProgress } from "../src/train/progress.ts";
import { Trainer } from "../src/train/trainer.ts";
import type { TrainerOptions } from "../src/train/trainerOptions.ts";
import { compileStep, trainStep } from "../src/train/trainStep.ts";
import { noiseSource, tinyConfig, tinySource } from "./tinyTraining.ts";

/** For all that need no device of their own. */
let shared: Awaited<ReturnType<typeof oneDevice>>;
let gpu: WebGpuBackend;
beforeAll(async () => {
  shared = await oneDevice();
  gpu = shared.make();
});
afterAll(() => shared.destroy());

/** Trains from the configuration's seed; calls `onEvent` after each step, epoch and recovery. */
async function run(
  options: TrainerOptions,
  train: BatchSource,
  onEvent: (event: TrainEvent) => void | Promise<void> = () => {},
): Promise<number[]> {
  using trainer = await Trainer.create(options);
  const losses: number[] = [];
  for await (const event of trainLoop(trainer, { train })) {
    if (event.kind === "step") losses[event.step - 1] = event.loss;
    await onEvent(event);
  }
  return losses;
}

async function lossesOn(backend: Backend, config: Config, source: BatchSource): Promise<number[]> {
  const losses = await run({ config, backend }, source);
  if (backend !== gpu) backend.dispose();
  return losses;
}

const relative = (a: readonly number[], b: readonly number[]): number[] =>
  a.map((value, i) => Math.abs(value - b[i]!) / Math.abs(b[i]!));

describe("training on webgpu", () => {
  test("ten steps give the CPU's losses", async () => {
    const { optimizer, schedule } = resolveConfig({ preset: "n" }).train;
    const config = tinyConfig((c) => Object.assign(c.train, { epochs: 1, optimizer, schedule }));
    const source = tinySource(10);
    const plain = await lossesOn(cpu({ threads: 1, relaxedSimd: false }), config, source);
    const fused = await lossesOn(cpu({ threads: 1, relaxedSimd: true }), config, source);
    const own = await lossesOn(gpu, config, source);
    expect(own).toHaveLength(10);
    const spread = relative(plain, fused);
    for (const [i, error] of relative(own, fused).entries())
      expect(error, `step ${i + 1}`).toBeLessThan(i < 3 ? 1e-3 : Math.max(1e-3, 3 * spread[i]!));
  });

  test("kernels compiled ahead are those of the first step, which ends with the same bits and memory", async () => {
    const config = tinyConfig();
    const batch = (await tinySource(1).batches(0)[Symbol.asyncIterator]().next()).value as TrainingBatch;
    const firstStep = async (backend: WebGpuBackend) => {
      const before = liveStorages();
      const firstOf = async () => {
        using state = withBackend(
          backend,
          () => new DeviceState(new DFineModel(config.model).initialize(new Random(7)), config.train),
        );
        const context = { config, progress: startProgress(), schedule: () => 1 };
        const { dispatches, pipelines } = backend.counters;
        await compileStep(state, batch, context);
        expect(backend.counters.dispatches).toBe(dispatches);
        const ahead = backend.counters.pipelines - pipelines;
        const result = await trainStep(state, batch, context);
        const inStep = backend.counters.pipelines - pipelines - ahead;
        const { peakBytes, ...memory } = backend.memory();
        const left = { ...memory, storages: liveStorages() - before };
        return { ahead, inStep, peakBytes, end: { result, left, values: await state.read(context.progress) } };
      };
      const made = await firstOf();
      expect(backend.memory().buffers).toBe(0);
      backend.dispose();
      return made;
    };
    const late = await firstStep(shared.make({ compileAhead: false }));
    const early = await firstStep(shared.make({ compileAhead: true }));
    expect(early.end).toEqual(late.end);
    // What a model keeps once it was computed, such as W(n), is there from the start of the step.
    expect(early.peakBytes / late.peakBytes).toBeLessThan(1.01);
    expect(late.ahead).toBe(0);
    expect(early.ahead + early.inStep).toBe(late.inStep);
    // The update's own: AdamW, the average, and what they need.
    expect(early.inStep).toBeLessThan(0.05 * late.inStep);
  });

  test("a prediction compiles its kernels ahead once, and gives the same bits", async () => {
    const { model } = tinyConfig();
    const pixels = Float32Array.from({ length: 3 * 96 * 96 }, (_, i) => ((i * 7919) % 1013) / 1013);
    const input = { images: pixels, shape: [1, 3, 96, 96], origSizes: [[96, 96]] } as const;
    const predictions = async (backend: WebGpuBackend) => {
      using network = withBackend(backend, () => new DFineModel(model).initialize(new Random(7)).eval());
      const compiling = vi.spyOn(backend, "precompile");
      const predict = modelPredictor(network, backend);
      const found = [await predict(input), await predict(input)];
      expect(compiling).toHaveBeenCalledTimes(1);
      const { peakBytes } = backend.memory();
      backend.dispose();
      return { found, peakBytes };
    };
    const ahead = await predictions(shared.make({ compileAhead: true }));
    expect(ahead).toEqual(await predictions(shared.make({ compileAhead: false })));
  });

  test("eighty steps of changing sizes leave neither buffers nor storages, and compile nothing after the second", async () => {
    const steps = 80;
    const source = noiseSource(steps, (index) => 64 + 32 * (index % 3));
    const config = tinyConfig((c) => Object.assign(c.train, { epochs: 1 }));
    const before = { storages: liveStorages(), buffers: gpu.memory().buffers, bytes: gpu.memory().bytes };
    const seen: { pipelines: number; buffers: number }[] = [];
    await run({ config, backend: gpu }, source, (event) => {
      if (event.kind === "step") seen.push({ pipelines: gpu.counters.pipelines, buffers: gpu.memory().buffers });
    });
    const { buffers, bytes } = gpu.memory();
    expect({ storages: liveStorages(), buffers, bytes }).toEqual(before);
    expect(seen).toHaveLength(steps);
    expect(seen.at(-1)!.pipelines).toBe(seen[2]!.pipelines);
    expect(seen.at(-1)!.buffers).toBe(seen[2]!.buffers);
  });

  test("a device lost in the middle of a step is replaced, and the run ends with the same bits", async () => {
    const config = tinyConfig((c) => Object.assign(c.train, { epochs: 1, snapshotEvery: 2 }));
    const undisturbed = await lossesOn(gpu, config, tinySource(6));
    let backend = await webgpu();
    const destroyAfter = async (ms: number) => {
      const { device } = backend;
      setTimeout(() => device.destroy(), ms);
    };
    const recoveries: string[] = [];
    const losses = await run(
      {
        config,
        backend,
        reviveBackend: async (lost) => {
          lost.dispose();
          backend = shared.make();
          return backend;
        },
      },
      tinySource(6),
      async (event) => {
        if (event.kind === "recovery") recoveries.push(event.reason);
        // The timer fires while step 4 awaits the matcher's inputs.
        if (event.kind === "step" && event.step === 3 && recoveries.length === 0) await destroyAfter(0);
      },
    );
    backend.dispose();
    expect(recoveries).toHaveLength(1);
    expect(recoveries[0]).toMatch(/is lost \(destroyed\)/);
    expect(losses).toEqual(undisturbed);
  });

  test("memory that does not suffice ends training with what would fit", async () => {
    const backend = shared.make({ memoryLimitBytes: 2.4 * 2 ** 20 });
    const config = tinyConfig((c) => Object.assign(c.train, { epochs: 1 }));
    const training = run({ config, backend, reviveBackend: async () => shared.make() }, tinySource(2));
    await expect(training).rejects.toThrow(OutOfMemoryError);
    await expect(training).rejects.toThrow(
      /a batch of 1 would fit: --batch 1, or this one in parts: accumulate=2 \(webgpu: out of memory: .* asked for, .* in use/,
    );
    backend.dispose();
  });
});
