import { cpu } from "@dfine/backend-cpu";
import { liveStorages, OutOfMemoryError } from "@dfine/tensor";
import { expect, test } from "vitest";
import { tinyConfig } from "../../test/tinyTraining.ts";
import { type LargestBatchOptions, largestBatch } from "./largestBatch.ts";

const config = tinyConfig();

/** What is found with so much memory, and what was tried on the way. */
async function found(options: Partial<LargestBatchOptions>) {
  const backend = cpu({ threads: 1 });
  const tries: (readonly [batch: number, bytes: number | undefined])[] = [];
  try {
    const onTry = (batch: number, bytes: number | undefined) => void tries.push([batch, bytes]);
    return { ...(await largestBatch({ config, backend, onTry, ...options })), tries };
  } finally {
    expect(liveStorages()).toBe(0);
    backend.dispose();
  }
}

test("the batch that was tried last within the limit, near the limit; as many as there may be where all fit", async () => {
  const whole = await found({ most: 8 });
  expect(whole.batch).toBe(8);
  expect(whole.tries.map(([batch]) => batch)).toEqual([1, 2, 4, 8]);
  const [[, one], [, two]] = whole.tries as [[number, number], [number, number]];
  const limitBytes = Math.floor(two + 3.5 * (two - one));
  const limited = await found({ most: 64, limitBytes });
  expect(limited.bytes).toBeLessThanOrEqual(limitBytes);
  expect(limited.tries).toContainEqual([limited.batch, limited.bytes]);
  // Five or six images are to be expected; what a batch takes is not quite linear.
  expect(limited.batch).toBeGreaterThanOrEqual(4);
  expect(limited.batch).toBeLessThanOrEqual(7);
});

test("where memory ends, the last batch that fitted", async () => {
  const { tries } = await found({ most: 8 });
  const [one, eight] = [tries[0]![1]!, tries[3]![1]!];
  const backend = cpu({ threads: 1, memoryLimitBytes: Math.ceil(one + (15 / 7) * (eight - one)) });
  const ended: number[] = [];
  const onTry = (batch: number, bytes: number | undefined) => bytes === undefined && ended.push(batch);
  const { batch } = await largestBatch({ config, backend, onTry });
  backend.dispose();
  // Some 16 images fit; what was tried next did not.
  expect([8, 16]).toContain(batch);
  expect(ended).toEqual([2 * batch]);
});

test("not even one image: that is said", async () => {
  await expect(found({ limitBytes: 1 })).rejects.toThrow(OutOfMemoryError);
  await expect(found({ limitBytes: 1 })).rejects.toThrow(/not even a batch of one image fits/);
});
