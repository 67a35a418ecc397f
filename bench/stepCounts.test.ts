import { expect, it } from "vitest";
import { stepCounts } from "./stepCounts.ts";

it("a training step of n asks a GPU for no more than this, and twice for the same", async () => {
  const subject = { preset: "n", size: 320, batch: 4 } as const;
  const { dispatches, copies, submits, reads, pipelines, allocatedBytes, kernels } = await stepCounts(subject, 3);
  expect(dispatches).toBeLessThan(900);
  expect(copies).toBeLessThanOrEqual(25);
  expect(submits).toBeLessThanOrEqual(15);
  expect([reads, pipelines, allocatedBytes]).toEqual([2, 0, 0]);
  expect([...kernels.values()].reduce((sum, count) => sum + count, 0)).toBe(dispatches);
});
