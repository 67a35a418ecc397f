import fc from "fast-check";
import { expect, test } from "vitest";
import { median, timesOf } from "./row.ts";
import { floorLines, workLines } from "./table.ts";

const times = fc.array(fc.double({ min: 1e-3, max: 1e4, noNaN: true }), { minLength: 1, maxLength: 40 });

test("as many values lie above the median as below", () => {
  fc.assert(
    fc.property(times, (values) => {
      const middle = median(values);
      const above = values.filter((value) => value > middle).length;
      const below = values.filter((value) => value < middle).length;
      expect(Math.max(above, below)).toBeLessThanOrEqual(values.length / 2);
    }),
  );
  expect(median([4, 1, 3, 2])).toBe(2.5);
});

test("a row's times are in order, whatever the order of the runs", () => {
  fc.assert(
    fc.property(times, (values) => {
      const { median_ms, min_ms, max_ms, runs } = timesOf(values);
      expect(min_ms).toBeLessThanOrEqual(median_ms);
      expect(median_ms).toBeLessThanOrEqual(max_ms);
      expect(runs).toBe(values.length);
      expect(timesOf([...values].reverse())).toEqual(timesOf(values));
    }),
  );
});

test("two milliseconds for a million operations and four million bytes", () => {
  expect(timesOf([2], { flops: 1e6, bytes: 4e6 })).toMatchObject({ gflops: 0.5, gbps: 2 });
  expect(timesOf([2])).not.toHaveProperty("gflops");
});

const subject = { work: "kernel", name: "matmul_1024", size: 1024, batch: 1, threads: 2 } as const;
const ours = { ...subject, implementation: "ours", ...timesOf([10, 20, 30], { flops: 2e9 }) } as const;
const peer = { ...subject, implementation: "onnxruntime-web", ...timesOf([5, 5, 40]) } as const;

test("a work's lines have ours, the peers' ratios, and what was not run", () => {
  const missing = { ...subject, implementation: "onnxruntime-node", reason: "no peers" } as const;
  const [first, second, third] = workLines([ours, peer], [missing]);
  expect(first).toMatch(/^matmul_1024 .* ours .* 20\.0 ms .* 10\.0 ms .* 30\.0 ms .* 3 .* 100\.0 GFLOP\/s$/);
  expect(second).toMatch(/onnxruntime-web .* 0\.25× as fast$/);
  expect(third).toMatch(/onnxruntime-node .* not run: no peers$/);
});

test("models also say what memory they took", () => {
  const row = { ...ours, work: "train", peak_bytes: 5e8, rss_bytes: 9e8 } as const;
  expect(workLines([row], [])[1]).toBe("  allocator's high-water mark 500 MB, resident 900 MB");
});

test("models on a device that counts say what a run asks of it", () => {
  const last = { dispatches: 30, copies: 4, submits: 2, reads: 1, pipelines: 0, allocatedBytes: 0 };
  const first = { ...last, pipelines: 9, allocatedBytes: 5e6 };
  const row = { ...ours, work: "train", counts: { first, last } } as const;
  expect(workLines([row], []).slice(1)).toEqual([
    "  first run: 30 dispatches, 4 copies, 2 submits, 1 reads, 9 pipelines compiled, 5 MB of buffers created",
    "  last run: 30 dispatches, 4 copies, 2 submits, 1 reads, 0 pipelines compiled, 0 MB of buffers created",
  ]);
});

test("a floor holds from half the peer's speed on", () => {
  expect(floorLines([ours, peer])).toEqual([
    "floor of 0.5× onnxruntime-web does not hold: matmul_1024, threads 2: 0.25×",
  ]);
  expect(floorLines([ours, { ...peer, median_ms: 10 }])[0]).toContain("holds: matmul_1024, threads 2: 0.50×");
  expect(floorLines([ours, { ...peer, implementation: "gpu.js" }, { ...peer, name: "other" }])).toEqual([]);
});

test("on WebGPU the floor is the better peer's speed", () => {
  const peers = [
    { ...peer, implementation: "jax-js", median_ms: 25 },
    { ...peer, implementation: "tfjs", median_ms: 60 },
  ] as const;
  expect(floorLines([ours, ...peers])).toEqual([
    "floor of the better WebGPU peer holds: matmul_1024: 1.25× as fast as jax-js",
  ]);
  expect(floorLines([{ ...ours, median_ms: 30 }, ...peers])[0]).toContain("does not hold: matmul_1024: 0.83×");
});
