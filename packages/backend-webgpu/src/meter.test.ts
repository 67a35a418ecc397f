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
