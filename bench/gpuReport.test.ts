import { expect, test } from "vitest";
import { gpuSection, idleShare } from "./gpuReport.ts";
import { type Row, timesOf } from "./row.ts";

const kernel = { work: "kernel", name: "matmul_1024", size: 1024, batch: 1, threads: 2 } as const;
const row = (implementation: Row["implementation"], ms: number): Row => ({
  ...kernel,
  implementation,
  ...timesOf([ms], { flops: 2e9 }),
});
const counts = { dispatches: 900, copies: 40, submits: 9, reads: 2, pipelines: 0, allocatedBytes: 0 };
const step: Row = {
  ...{ work: "train", preset: "n", name: "train_n", size: 640, batch: 8, threads: 2, implementation: "ours" },
  ...timesOf([400]),
  counts: { first: counts, last: counts },
};

test("a device idles while none of a step's kernels runs", () => {
  expect(idleShare({ row: step, kernels_ms: 300 })).toBe(0.25);
  expect(idleShare({ row: step, kernels_ms: 500 })).toBe(0);
  expect(idleShare({ row: step, kernels_ms: undefined })).toBeUndefined();
});

test("the section names the device, what was checked, every peer, and images per second", () => {
  const text = gpuSection({
    ...{ device: "Some GPU", host: "Some CPU, Node v24", date: "2026-11-25" },
    checks: { "parity of n": "9 passed, 0 failed, 0 skipped" },
    kernels: [row("ours", 2), row("onnxruntime-web", 5), row("gpu.js", 4), { ...row("ours", 1), name: "alone" }],
    steps: [{ row: step, kernels_ms: 300 }],
  });
  expect(text.split("\n").filter(Boolean)).toEqual([
    "## On Some GPU",
    "Measured by `npm run gpu` on 2026-11-25; Some CPU, Node v24.",
    "- parity of n: 9 passed, 0 failed, 0 skipped",
    "| kernel | ours, ms | GFLOP/s or GB/s | onnxruntime-web, ms | gpu.js, ms | best peer's time over ours |",
    "| --- | --- | --- | --- | --- | --- |",
    "| matmul_1024 | 2.000 | 1000.0 | 5.000 | 4.000 | 2.00× |",
    "| alone | 1.000 | 2000.0 |  |  |  |",
    "| preset | size | batch | step, ms | images/s | kernels, ms | GPU idles | dispatches | submits |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    "| n | 640 | 8 | 400.0 | 20.00 | 300.0 | 25 % | 900 | 9 |",
  ]);
});

test("what was not measured has no table", () => {
  const nothing = { device: "d", host: "h", date: "t", checks: {}, kernels: [], steps: [] };
  expect(gpuSection(nothing)).not.toContain("|");
});
