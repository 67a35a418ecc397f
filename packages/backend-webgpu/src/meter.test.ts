import { matmul, noGrad, profiled, profileTable, readResults, silu, tensor } from "@dfine/tensor";
import { expect, test } from "vitest";
import { webgpu } from "./index.ts";

test("a profile has calls, dispatches, work and the host's time; kernels only queue, so their own is not known", async () => {
  const backend = await webgpu();
  const { backend: watched, profile } = profiled(backend);
  const x = (): ReturnType<typeof tensor> => tensor(new Float32Array(16).fill(0.5), [4, 4]);
  await readResults(watched, () => noGrad(() => [silu(matmul(x(), x())), silu(x())]));
  const seen = profile();
  backend.dispose();
  expect(seen.ops.map(({ op, calls, flops }) => [op, calls, flops]).sort()).toEqual([
    ["matmul", 1, 2 * 4 ** 3],
    ["silu", 2, 2 * 2 * 16],
  ]);
  for (const { launches, calls, milliseconds, host } of seen.ops) {
    expect(launches).toBeGreaterThanOrEqual(calls);
    expect(milliseconds).toBeUndefined();
    expect(host).toBeGreaterThan(0);
  }
  expect(seen.reading).toBeGreaterThan(0);
  expect(profileTable(seen)).toMatch(/ 2 +2 +\? +0\.00 .* silu generated\n/);
});

test("with a trace each op tells how long its kernels took on the device", async () => {
  const backend = await webgpu({ trace: true });
  const { backend: watched, profile, settle } = profiled(backend, { gflops: 100, gbps: 100 });
  const x = tensor(new Float32Array(64 * 64).fill(0.5), [64, 64], { backend: watched });
  await readResults(watched, () => noGrad(() => [silu(matmul(x, x))]));
  await settle();
  const seen = profile();
  const total = (await backend.kernelTimes()).reduce((sum, { milliseconds = 0 }) => sum + milliseconds, 0);
  x.dispose();
  backend.dispose();
  expect(seen.beside).toBe(true);
  for (const { milliseconds } of seen.ops) expect(milliseconds).toBeGreaterThan(0);
  expect(seen.ops.reduce((sum, { milliseconds = 0 }) => sum + milliseconds, 0)).toBeCloseTo(total, 9);
  expect(profileTable(seen)).toMatch(/GFLOP\/s +[\d.]+ % +matmul /);
});
