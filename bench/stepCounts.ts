import { webgpu } from "@dfine/backend-webgpu";
import type { PresetName } from "dfine";
import { type Commands, type CountingKind, countingGpu } from "./countingGpu.ts";
import { type Counts, counted } from "./counts.ts";
import { trainWork } from "./train.ts";

/** A step whose commands are counted. */
export interface StepSubject {
  readonly preset: PresetName;
  readonly size: number;
  readonly batch: number;
  readonly kind?: CountingKind;
}

/** What a training step asks of a GPU, once kernels are compiled and memory is found. */
export interface StepCounts extends Counts {
  /**
   * JavaScript's own time of a step, its collector's included: the mean of the later half of the steps. The clock of a thread may
   * count in ticks of 4 ms, so no single step can be timed by it.
   */
  readonly hostMilliseconds: number;
  /** Dispatches of the last step by kernel and variant, most first. */
  readonly kernels: ReadonlyMap<string, number>;
}

/** In the time of `body` `navigator.gpu` is a GPU that computes nothing. */
export async function onCountingGpu<Result>(
  kind: CountingKind | undefined,
  body: (commands: Commands) => Promise<Result>,
): Promise<Result> {
  const { gpu, commands } = countingGpu(kind);
  const before = Object.getOwnPropertyDescriptor(globalThis.navigator, "gpu");
  Object.defineProperty(globalThis.navigator, "gpu", { value: gpu, configurable: true });
  try {
    return await body(commands);
  } finally {
    if (before) Object.defineProperty(globalThis.navigator, "gpu", before);
    else Reflect.deleteProperty(globalThis.navigator, "gpu");
  }
}

/** Takes `steps` steps on a GPU that computes nothing. */
export async function stepCounts({ preset, size, batch, kind }: StepSubject, steps: number): Promise<StepCounts> {
  return await onCountingGpu(kind, async (commands) => {
    const backend = await webgpu();
    const contender = await trainWork({ preset, size, batch, threads: 1 }).ours(backend);
    const { run, counts } = counted(backend, contender.run);
    const half = Math.floor(steps / 2);
    let start = process.threadCpuUsage();
    for (let step = 0; step < steps; step++) {
      if (step === half) start = process.threadCpuUsage();
      commands.byKernel.clear();
      await run();
    }
    const { user, system } = process.threadCpuUsage(start);
    const hostMilliseconds = (user + system) / 1000 / (steps - half);
    const kernels = new Map([...commands.byKernel].sort(([, a], [, b]) => b - a));
    await contender.dispose();
    backend.dispose();
    return { ...counts()!.last, hostMilliseconds, kernels };
  });
}
