import { matmul, referenceBackend } from "@dfine/tensor";
import { resolveBackend } from "dfine";
import { afterAll, expect, test } from "vitest";
import { counted } from "./counts.ts";
import { gpuConv, gpuMatmul } from "./gpuJs.ts";
import { jobsOf } from "./job.ts";
import { KERNELS, type KernelRow, kernelWork } from "./kernels.ts";
import { difference, measure } from "./measure.ts";
import { parseOptions } from "./options.ts";
import { PROFILED_RUNS, withProfile } from "./profile.ts";
import { alternate } from "./sampling.ts";
import { workLines } from "./table.ts";
import { trainingBatch } from "./train.ts";
import type { Contender, HostArray, Peer, Work } from "./work.ts";

const backend = referenceBackend({ floatBits: 32 });
afterAll(() => backend.dispose());

const TINY: KernelRow = {
  name: "matmul_4",
  size: 4,
  shapes: [
    [4, 4],
    [4, 4],
  ],
  cost: { flops: 2 * 4 ** 3 },
  run: ([a, b]) => [matmul(a!, b!)],
  peer: "matmul",
};

const fast = { backend, threads: 1, seconds: 0.01, rounds: 5 };

test("a tiny kernel is measured beside gpu.js, and peers without a file are named", async () => {
  const work = await kernelWork(TINY, { peersFolder: "/nowhere", threads: 1 });
  const { rows, notRun } = await measure(work, fast);
  expect(rows.map(({ implementation }) => implementation)).toEqual(["ours", "gpu.js", "jax-js"]);
  for (const row of rows) {
    expect(row).toMatchObject({ work: "kernel", name: "matmul_4", size: 4, batch: 1, threads: 1 });
    expect(row.median_ms).toBeGreaterThan(0);
    expect(row.runs).toBeGreaterThanOrEqual(1);
    expect(row.gflops).toBeCloseTo(128 / row.median_ms / 1e6, 12);
  }
  expect(rows[0]!.peak_bytes).toBeGreaterThanOrEqual(3 * 16 * 4);
  expect(notRun.map(({ implementation, reason }) => `${implementation}: ${reason}`)).toEqual([
    "onnxruntime-web: no peers",
    "onnxruntime-node: no peers",
  ]);
});

test("what runs ask of a device that counts is counted apart for the first and the last", async () => {
  const counters = { dispatches: 5, copies: 3, submits: 1, reads: 0, pipelines: 2, allocatedBytes: 64 };
  const counting = Object.create(backend, { counters: { get: () => ({ ...counters }) } }) as typeof backend;
  let asked = 0;
  const { run, counts } = counted(counting, async () => {
    asked++;
    counters.dispatches += 10;
    counters.pipelines += asked === 1 ? 3 : 0;
  });
  expect(counts()).toBeUndefined();
  for (let i = 0; i < 3; i++) await run();
  const last = { dispatches: 10, copies: 0, submits: 0, reads: 0, pipelines: 0, allocatedBytes: 0 };
  expect(counts()).toEqual({ first: { ...last, pipelines: 3 }, last });
  const silent = counted(backend, async () => {});
  await silent.run();
  expect(silent.counts()).toBeUndefined();
});

test("a profile tells of ours in runs of its own", async () => {
  const work = await kernelWork(TINY, { peersFolder: undefined, threads: 1 });
  const [job] = jobsOf(parseOptions(["--only", "kernels", "--profile"]));
  const own = await resolveBackend("cpu", { threads: 1 });
  const measured = await measure(work, { ...fast, backend: own });
  const { rows } = await withProfile(measured, { work, backend: own, job: job! });
  own.dispose();
  const [product] = rows[0]!.profile!.ops.filter(({ op }) => op === "matmul");
  expect(product).toMatchObject({ calls: PROFILED_RUNS, flops: PROFILED_RUNS * 2 * 4 ** 3 });
  expect(workLines(rows, []).join("\n")).toMatch(/ours, mean of 3 runs:\n +calls .*\n(.*\n)* +1 +1 .* matmul \w+/);
});

test("without peers ours is alone", async () => {
  const work = await kernelWork(TINY, { peersFolder: undefined, threads: 1 });
  expect(work.peers).toEqual([]);
});

test("a peer that does other work makes the measurement void", async () => {
  const work = await kernelWork(TINY, { peersFolder: undefined, threads: 1 });
  const liar = async (outputs: Contender["outputs"]): Promise<Contender> => ({
    implementation: "gpu.js",
    run: async () => {},
    dispose: () => {},
    outputs: outputs!,
  });
  const beside = (start: () => Promise<Contender>): Work => ({ ...work, peers: [{ implementation: "gpu.js", start }] });
  const wrong = beside(() => liar(async () => [new Float32Array(16)]));
  await expect(measure(wrong, fast)).rejects.toThrow("matmul_4: gpu.js and ours give different values");
  await expect(measure({ ...wrong, agreement: "sizes" }, fast)).resolves.toBeDefined();
  const short = { ...beside(() => liar(async () => [new Float32Array(15)])), agreement: "sizes" } as const;
  await expect(measure(short, fast)).rejects.toThrow("different sizes");
});

test("differences are shares of the largest value", () => {
  expect(difference([1, 2.5], [1, 2])).toBe(0.25);
  expect(difference([0], [0])).toBe(0);
  expect(difference([Number.NaN], [1])).toBe(Infinity);
  expect(difference([1], [1, 2])).toBe(Infinity);
});

const host = (shape: number[], from: number): HostArray => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(from + i)),
});
async function outputOf(peer: Peer): Promise<ArrayLike<number>> {
  if (!("start" in peer)) throw new Error(peer.reason);
  const contender = await peer.start();
  const [values] = await contender.outputs!();
  await contender.dispose();
  return values!;
}

test("what gpu.js is asked for equals sums over explicit terms", async () => {
  const [a, b] = [host([3, 3], 1), host([3, 3], 2)];
  const at = (m: HostArray, i: number, j: number): number => m.data[i * 3 + j]!;
  const product = await outputOf(gpuMatmul([a, b], 3));
  for (let i = 0; i < 3; i++)
    for (let j = 0; j < 3; j++) {
      const sum = [0, 1, 2].reduce((total, k) => total + at(a, i, k) * at(b, k, j), 0);
      expect(product[i * 3 + j]).toBeCloseTo(sum, 5);
    }
  const [x, weight] = [host([1, 4, 3, 5], 3), host([2, 2, 3, 3], 4)];
  const y = await outputOf(gpuConv([x, weight], 2));
  for (let o = 0; o < 2; o++)
    for (let row = 0; row < 3; row++)
      for (let column = 0; column < 5; column++) {
        let sum = 0;
        for (let c = 0; c < 2; c++)
          for (let r = 0; r < 3; r++)
            for (let s = 0; s < 3; s++) {
              const [yy, xx] = [row + r - 1, column + s - 1];
              if (yy < 0 || yy > 2 || xx < 0 || xx > 4) continue;
              sum += x.data[((o * 2 + c) * 3 + yy) * 5 + xx]! * weight.data[((o * 2 + c) * 3 + r) * 3 + s]!;
            }
        expect(y[(o * 3 + row) * 5 + column]).toBeCloseTo(sum, 5);
      }
});

test("implementations take turns, and all runs are timed", async () => {
  const calls: string[] = [];
  const wait = (name: string) => async () => {
    calls.push(name);
    await new Promise((done) => setTimeout(done, 4));
  };
  const [a, b] = await alternate([wait("a"), wait("b")], { seconds: 0.5, rounds: 5 });
  expect(Math.min(...a!, ...b!)).toBeGreaterThan(3);
  const turns = calls.filter((name, i) => name !== calls[i - 1]);
  expect(turns).toEqual(["a", "b", "a", "b", "a", "b", "a", "b", "a", "b", "a", "b"]);
});

test("a failing run fails the measurement", async () => {
  await expect(alternate([() => Promise.reject(new Error("no memory"))], { seconds: 0.01, rounds: 1 })).rejects.toThrow(
    "no memory",
  );
});

test("every number of threads and preset has a process of its own", () => {
  const jobs = jobsOf(parseOptions(["--threads", "1,2", "--preset", "n,m", "--only", "kernels,train"]));
  expect(jobs.map(({ kind, preset = "", threads }) => `${kind}${preset} ${threads}`)).toEqual([
    "kernels 1",
    "trainn 1",
    "trainm 1",
    "kernels 2",
    "trainn 2",
    "trainm 2",
  ]);
});

test("names of kernels are distinct, and shapes suit their costs", () => {
  expect(new Set(KERNELS.map(({ name }) => name)).size).toBe(KERNELS.length);
  const conv = KERNELS.find(({ name }) => name === "conv3x3_64_64_160")!;
  expect(conv.cost.flops).toBe(2 * 64 * 64 * 9 * 160 * 160);
});

test("boxes of the training batch lie in the image", () => {
  const { targets } = trainingBatch({ size: 32, batch: 3, classes: 2 });
  expect(targets.map(({ labels }) => labels.length)).toEqual([7, 7, 7]);
  for (const { boxes } of targets)
    for (let i = 0; i < boxes.length; i += 4)
      for (const axis of [0, 1]) {
        const [centre, side] = [boxes[i + axis]!, boxes[i + 2 + axis]!];
        expect(centre - side / 2).toBeGreaterThanOrEqual(0);
        expect(centre + side / 2).toBeLessThanOrEqual(1);
      }
});
