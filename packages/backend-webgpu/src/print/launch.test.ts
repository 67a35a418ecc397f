import { concat, mul, noGrad, readResults, silu, sum, type Tensor, tensor } from "@dfine/tensor";
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
  const [values] = await readResults(backend, () => [noGrad(() => op(tensor(data, shape)))]);
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

it("what lies side by side is copied without a kernel, pieces alike with one, and not overtaken by later writes", async () => {
  const joined = async (axis: number, second: readonly number[]) => {
    const before = long.counters;
    const [values] = await readResults(long, () => {
      const parts = [[1, 2, 3, 4, 5, 6], second].map((values) => tensor(values, [values.length / 3, 3]));
      const all = concat(parts, axis);
      for (const part of parts) part.dispose();
      for (const _ of "ab") tensor(new Array(6).fill(-1), [2, 3]);
      return [all];
    });
    const { dispatches, copies } = long.counters;
    // One copy is the read's.
    return { values: [...values!], dispatches: dispatches - before.dispatches, copies: copies - before.copies - 1 };
  };
  const below = [1, 2, 3, 4, 5, 6, 7, 8, 9];
  expect(await joined(0, [7, 8, 9])).toEqual({ values: below, dispatches: 0, copies: 2 });
  const beside = [1, 2, 3, 7, 8, 9, 4, 5, 6, 10, 11, 12];
  expect(await joined(1, [7, 8, 9, 10, 11, 12])).toEqual({ values: beside, dispatches: 1, copies: 0 });
});
