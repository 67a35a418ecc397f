import { mul, noGrad, readTensors, scope, silu, sum, type Tensor, tensor, withBackend } from "@dfine/tensor";
import { afterAll, expect, it } from "vitest";
import { webgpu } from "../backend.ts";

const VISITS = 1000;
const short = await webgpu({ visitsPerDispatch: VISITS });
const long = await webgpu();
afterAll(() => {
  for (const backend of [short, long]) backend.dispose();
});

const data = Float32Array.from({ length: 300 * 100 }, (_, i) => ((i * 7919) % 1013) / 506 - 1);

/** What an op gives of [300, 100] or [30000], and in how many dispatches. */
async function run(backend: typeof short, op: (x: Tensor) => Tensor, shape: readonly number[]) {
  const before = backend.counters.dispatches;
  const [values] = await withBackend(backend, () =>
    scope("test", () => readTensors([noGrad(() => op(tensor(data, shape)))])),
  );
  return { values, dispatches: backend.counters.dispatches - before };
}

it.each([
  ["elements", silu, [30_000], 30_000 / 4 / VISITS],
  ["rows", (x: Tensor) => sum(mul(x, x), 1), [300, 100], (2 * 30_000) / 4 / VISITS],
] as const)("what would run for long is split by %s, with the same result", async (_, op, shape, least) => {
  const [split, whole] = [await run(short, op, shape), await run(long, op, shape)];
  expect(whole.dispatches).toBeLessThanOrEqual(2);
  expect(split.dispatches).toBeGreaterThanOrEqual(least);
  expect(split.values).toEqual(whole.values);
});
