import { expect, test } from "vitest";
import { gpuSection, idleShare, torchTimes } from "./gpuReport.ts";
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
    "| kernel | ours, ms | GFLOP/s or GB/s | of ceiling | onnxruntime-web, ms | gpu.js, ms | best peer's time over ours |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    "| matmul_1024 | 2.000 | 1000.0 |  | 5.000 | 4.000 | 2.00× |",
    "| alone | 1.000 | 2000.0 |  |  |  |  |",
    "| preset | size | batch | step, ms | images/s | kernels, ms | GPU idles | dispatches | submits |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    "| n | 640 | 8 | 400.0 | 20.00 | 300.0 | 25 % | 900 | 9 |",
  ]);
});

test("what was not measured has no table", () => {
  const nothing = { device: "d", host: "h", date: "t", checks: {}, kernels: [], steps: [] };
  expect(gpuSection(nothing)).not.toContain("|");
});

test("with a ceiling kernels tell their share of it, with PyTorch's times steps their ratio, and ops where the time goes", () => {
  const op = { ...{ calls: 3, launches: 3, waiting: 0, host: 1 }, op: "matmul" };
  const ceiling = { gflops: 2000, gbps: 100 };
  const profile = {
    ...{ wall: 1000, reading: 0, elsewhere: 0, ceiling, beside: true },
    ops: [
      { ...op, variant: "tiled 16×64", milliseconds: 100, flops: 5e10, bytes: 1 },
      { ...op, variant: "tiled 128×128", milliseconds: 300, flops: 3e11, bytes: 1 },
      { ...op, variant: "unseen", milliseconds: undefined, flops: 1, bytes: 1 },
    ],
  };
  const lines = gpuSection({
    ...{ device: "Some GPU", host: "Some CPU", date: "2026-11-25", checks: {}, ceiling },
    kernels: [row("ours", 2)],
    steps: [{ row: step, kernels_ms: 300, profile }],
    torch: torchTimes(
      'loading\n{"mode":"float32","size":640,"batch":8,"train_step_ms":[250,240]}\n{"mode":"tf32","size":320,"batch":8,"train_step_ms":[9,8]}\n',
    ),
  }).split("\n");
  expect(lines).toContain("The device reached 2000 GFLOP/s in a product and 100 GB/s in a copy.");
  expect(lines).toContain("| matmul_1024 | 2.000 | 1000.0 | 50 % |  |");
  expect(lines.find((line) => line.startsWith("| n |"))).toMatch(/\| 900 \| 9 \| 250\.0 \| {2}\| 1\.60 \| {2}\|$/);
  expect(lines.filter((line) => line.startsWith("| matmul tiled"))).toEqual([
    "| matmul tiled 128×128 | 75 % | 1000.0 GFLOP/s | 50 % |",
    "| matmul tiled 16×64 | 25 % | 500.0 GFLOP/s | 25 % |",
  ]);
});
