import { cpu } from "@dfine/backend-cpu";
import { webgpu } from "@dfine/backend-webgpu";
import type { Backend } from "@dfine/tensor";
import { expect, it } from "vitest";
import { onCountingGpu, stepCounts } from "./stepCounts.ts";
import { trainWork } from "./train.ts";

it("a training step of n asks a GPU for no more than this, and twice for the same", async () => {
  const subject = { preset: "n", size: 320, batch: 4 } as const;
  const { dispatches, copies, submits, reads, pipelines, allocatedBytes, kernels } = await stepCounts(subject, 3);
  expect(dispatches).toBeLessThan(900);
  expect(copies).toBeLessThanOrEqual(25);
  expect(submits).toBeLessThanOrEqual(15);
  expect([reads, pipelines, allocatedBytes]).toEqual([2, 0, 0]);
  expect([...kernels.values()].reduce((sum, count) => sum + count, 0)).toBe(dispatches);
});

/** Of one training step, the first. */
async function peakBytes(backend: Backend): Promise<number> {
  const { run, dispose } = await trainWork({ preset: "n", size: 320, batch: 2, threads: 1 }).ours(backend);
  await run();
  await dispose();
  const { peakBytes } = backend.memory();
  backend.dispose();
  return peakBytes;
}

it("a training step of n takes at most 1.2 times the memory of the same operations on the CPU", async () => {
  // The CPU's own kernel for attention keeps no weights, WebGPU's operations do.
  const onCpu = cpu({
    threads: 1,
    kernels: () => ({ scaledDotProductAttention: { select: () => undefined, run: () => undefined } }),
  });
  const cpuPeak = await peakBytes(onCpu);
  for (const kind of ["software", "discrete"] as const) {
    const gpuPeak = await onCountingGpu(kind, async () => await peakBytes(await webgpu()));
    expect(gpuPeak / cpuPeak, kind).toBeLessThan(1.2);
  }
});
