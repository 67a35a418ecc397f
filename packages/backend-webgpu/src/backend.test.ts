import {
  BackendError,
  copyInto,
  DeviceLostError,
  exp,
  mul,
  noGrad,
  readResults,
  readTensors,
  scope,
  softmax,
  sum,
  type Tensor,
  type TypedArray,
  tensor,
  withBackend,
} from "@dfine/tensor";
import { load } from "@dfine/tensor/kernel";
import { afterAll, describe, expect, it, vi } from "vitest";
import { kernelOf } from "../../tensor/test/kernelTrial.ts";
import { testDevice } from "../test/device.ts";
import { type WebGpuBackend, webgpu } from "./index.ts";
import { wgslKernel } from "./kernels/wgslKernel.ts";

const backend = await webgpu();
afterAll(() => backend.dispose());

const values = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => ((i * 7919) % 1013) / 506 - 1);
const compute = (on: WebGpuBackend, f: () => Tensor): Promise<TypedArray> =>
  readResults(on, () => [noGrad(f)]).then(([result]) => result!);
const MEBIBYTE = 2 ** 20;

describe("memory", () => {
  it("is counted, comes back, and is used again", async () => {
    const own = await webgpu();
    const buffers = [10, 1000, 100_000].map((length) => own.alloc(length, "f32"));
    const during = own.memory();
    expect(during.buffers).toBe(3);
    expect(during.bytes).toBeGreaterThanOrEqual(4 * 101_010);
    expect(during.bytes).toBeLessThan(4 * 101_010 * 1.125 + 512);
    for (const buffer of buffers) own.free(buffer);
    expect(own.memory()).toEqual({ bytes: 0, buffers: 0, peakBytes: during.bytes });
    expect(() => own.free(buffers[0]!)).toThrow(/freed twice/);
    const { allocatedBytes } = own.counters;
    own.free(own.alloc(99_000, "i32"));
    expect(own.counters.allocatedBytes).toBe(allocatedBytes);
    own.dispose();
  });

  it("that runs out says what would fit, gives up what it kept, and stays usable", async () => {
    const own = await webgpu({ memoryLimitBytes: 16 * MEBIBYTE });
    own.free(own.alloc(3 * MEBIBYTE, "f32"));
    const most = own.alloc(3.5 * MEBIBYTE, "f32");
    expect(() => own.alloc(MEBIBYTE, "f32")).toThrow(/out of memory: 4\.0 MiB asked for, 14\.0 MiB in use.*88 % .*fit/);
    expect(() => own.alloc(MEBIBYTE, "f32")).toThrow(BackendError);
    own.free(most);
    expect([...(await compute(own, () => sum(tensor([1, 2, 3]))))]).toEqual([6]);
    own.dispose();
  });

  it("that a turn of a loop needs is kept for the next, also where that needs more", async () => {
    const own = await webgpu();
    const turn = (lengths: readonly number[]): number => {
      const before = own.counters.allocatedBytes;
      for (const buffer of lengths.map((length) => own.alloc(length, "f32"))) own.free(buffer);
      return own.counters.allocatedBytes - before;
    };
    const large = new Array<number>(20).fill(4 * MEBIBYTE);
    expect(turn(large)).toBe(4 * 80 * MEBIBYTE);
    expect(turn([MEBIBYTE, ...large])).toBe(4 * MEBIBYTE);
    own.dispose();
  });

  it("of one buffer has a limit that is named before the device is asked", () => {
    const { maxBufferBytes } = backend.limits;
    expect(() => backend.alloc(maxBufferBytes / 2, "f32")).toThrow(/at most \d+\.0 MiB; .*50 %/);
  });

  it("stands still over many steps of changing sizes", async () => {
    const own = await webgpu();
    const step = (n: number) => compute(own, () => softmax(mul(tensor(values(n * 33), [n, 33]), 2)).sum(0));
    for (let n = 100; n < 140; n++) await step(n);
    const { bytes } = own.memory();
    const before = own.counters;
    for (let round = 0; round < 160; round++) await step(100 + ((round * 17) % 40));
    const after = own.counters;
    expect([own.memory().bytes, after.allocatedBytes, after.pipelines]).toEqual([
      bytes,
      before.allocatedBytes,
      before.pipelines,
    ]);
    // One read each, and what was gathered goes with it.
    expect([after.reads - before.reads, after.submits - before.submits]).toEqual([160, 160]);
    own.dispose();
  });
});

describe("reads and writes", () => {
  it("reach slices of every dtype, from any array type", async () => {
    const buffer = backend.alloc(6, "f32");
    backend.write({ buffer, offset: 0, length: 6 }, Float64Array.of(0.1, 1, 2, 3, 4, 5));
    backend.write({ buffer, offset: 2, length: 2 }, Int32Array.of(7, 8));
    const ints = backend.alloc(3, "i32");
    backend.write({ buffer: ints, offset: 0, length: 3 }, Int32Array.of(-1, 2 ** 31 - 1, -(2 ** 31)));
    const [floats, whole, none] = await backend.read([
      { buffer, offset: 1, length: 4 },
      { buffer: ints, offset: 0, length: 3 },
      { buffer, offset: 0, length: 0 },
    ]);
    expect([floats, whole, none]).toEqual([
      Float32Array.of(1, 7, 8, 4),
      Int32Array.of(-1, 2 ** 31 - 1, -(2 ** 31)),
      new Float32Array(0),
    ]);
    expect(() => backend.write({ buffer, offset: 0, length: 6 }, new Float32Array(5))).toThrow(
      /5 values do not fill a slice of 6/,
    );
    for (const each of [buffer, ints]) backend.free(each);
  });

  it("keep their place among kernels", async () => {
    const buffer = backend.alloc(1000, "f32");
    const whole = { buffer, offset: 0, length: 1000 };
    const doubled = kernelOf(
      ["map"],
      [{ dtype: "f32", mode: "update", indexed: false, strides: [1], offset: 0, length: 1000, data: [] }],
      { stages: [{ kind: "store", perRow: false, writes: [{ operand: 0, expr: load(0).mul(2) }] }] },
    );
    const results: Promise<TypedArray[]>[] = [];
    for (let i = 1; i <= 5; i++) {
      backend.write(whole, new Float32Array(1000).fill(i));
      backend.run(doubled, { sizes: [1000], operands: [{ ...whole, strides: [1] }], params: [] });
      results.push(backend.read([whole]));
      backend.run(doubled, { sizes: [1000], operands: [{ ...whole, strides: [1] }], params: [] });
    }
    const firsts = (await Promise.all(results)).map(([array]) => array![999]);
    expect(firsts).toEqual([2, 4, 6, 8, 10]);
    expect((await backend.read([whole]))[0]![0]).toBe(20);
    backend.free(buffer);
  });
});

describe("a lost device", () => {
  it("rejects what is pending and all that follows, and never gives zeros", async () => {
    const own = await webgpu();
    const buffer = own.alloc(1000, "f32");
    own.write({ buffer, offset: 0, length: 1000 }, new Float32Array(1000).fill(3));
    const pending = own.read([{ buffer, offset: 0, length: 1000 }]);
    own.device.destroy();
    const late = own.read([{ buffer, offset: 0, length: 1000 }]);
    await expect(pending).rejects.toThrow(DeviceLostError);
    await expect(late).rejects.toThrow(DeviceLostError);
    await expect(own.read([])).rejects.toThrow(/is lost.*Make a new backend/);
    expect(() => own.alloc(1, "f32")).toThrow(DeviceLostError);
    expect(() => own.write({ buffer, offset: 0, length: 1 }, [1] as never)).toThrow(DeviceLostError);
    await expect(compute(own, () => exp(tensor([1])))).rejects.toThrow(DeviceLostError);
    own.free(buffer);
    own.dispose();
    own.dispose();
  });

  it("is another thing than a backend that was disposed", async () => {
    const own = await webgpu();
    own.dispose();
    own.dispose();
    await expect(own.read([])).rejects.toThrow(/was disposed; make a new one/);
    await expect(own.read([])).rejects.not.toThrow(DeviceLostError);
  });
});

describe("a refused command", () => {
  it("is told with its kernels, and its results are not handed out", async () => {
    const { backend: own } = await testDevice();
    const buffer = own.alloc(8, "f32") as ReturnType<WebGpuBackend["alloc"]> & { block: { gpu: GPUBuffer } };
    buffer.block.gpu.destroy();
    const run = compute(own, () => exp(tensor([1, 2])));
    expect([...(await run)]).toHaveLength(2);
    const reading = own.read([{ buffer, offset: 0, length: 8 }]);
    await expect(reading).rejects.toThrow(/a batch of commands was refused: .*destroyed/);
    await expect(own.read([])).rejects.toThrow(BackendError);
    own.dispose();
  });
});

describe("kernels compiled ahead", () => {
  const f = () => softmax(tensor(values(330), [10, 33]));

  it("are those that run then", async () => {
    const own = await webgpu({ compileAhead: true });
    await own.precompile(() => void withBackend(own, () => scope("test", () => void noGrad(f))));
    const { pipelines, dispatches } = own.counters;
    expect([pipelines > 0, dispatches]).toEqual([true, 0]);
    const total = Array.from(await compute(own, f)).reduce((a, b) => a + b, 0);
    expect(total).toBeCloseTo(10, 4);
    expect(own.counters.pipelines).toBe(pipelines);
    own.dispose();
  });

  it("are told when they are wrong", async () => {
    const { backend: own, runtime } = await testDevice({ compileAhead: true });
    const kernel = wgslKernel({ name: "test.wrong", bindings: { y: "write f32" }, uniforms: {}, body: "nonsense" });
    const view = { buffer: own.alloc(1, "f32"), offset: 0 };
    const work = () => runtime.dispatch(kernel, { views: { y: view }, uniforms: {}, workgroups: [1] });
    await expect(own.precompile(work)).rejects.toThrow(/test\.wrong is not valid/);
    own.dispose();
  });

  it("leave tensors as they were, but for what the host writes", async () => {
    const own = await webgpu({ compileAhead: true });
    const before = tensor([1, 2, 3], [3], { backend: own });
    let during = before;
    await own.precompile(() => {
      copyInto(
        before,
        noGrad(() => exp(before)),
      );
      during = tensor([4, 5, 6], [3], { backend: own });
    });
    expect((await readTensors([before, during])).map((read) => [...read])).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    own.dispose();
  });

  it("hold nobody up when the work does not wait, is at fault, or loses its device", async () => {
    const own = await webgpu({ compileAhead: true });
    const compiling = own.precompile(() => void withBackend(own, () => scope("test", () => void noGrad(f))));
    expect((await compute(own, () => tensor([7])))[0]).toBe(7);
    await compiling;
    const fault = () => {
      throw new RangeError("at fault");
    };
    await expect(own.precompile(fault)).rejects.toThrow("at fault");
    expect((await compute(own, () => tensor([7])))[0]).toBe(7);
    const losing = own.precompile(() => {
      withBackend(own, () => scope("test", () => void exp(tensor([1]))));
      own.device.destroy();
    });
    await expect(losing).rejects.toThrow(DeviceLostError);
  });

  it("are left alone on software adapters, unless asked for", async () => {
    const own = await webgpu();
    const work = vi.fn();
    await own.precompile(work);
    expect(work).toHaveBeenCalledTimes(own.software ? 0 : 1);
    own.dispose();
  });
});

describe("diagnosis", () => {
  it("lists kernels with their schedule, count and time", async () => {
    const own = await webgpu({ trace: true });
    for (let i = 0; i < 3; i++) await compute(own, () => softmax(tensor(values(330), [10, 33])));
    const times = await own.kernelTimes();
    expect(times.map(({ name, count }) => [name, count])).toEqual([
      [expect.stringMatching(/^softmax \[\d+×\d+( by 4)?\]$/), 3],
    ]);
    if (own.features.has("timestamp-query")) expect(times[0]!.milliseconds).toBeGreaterThan(0);
    own.dispose();
  });

  it("turns hand-written kernels off by name", async () => {
    const names = Object.keys(backend.overrides);
    const own = await webgpu({ disable: names.slice(0, 1) });
    expect(Object.keys(own.overrides)).toEqual(names.slice(1));
    own.dispose();
  });
});

it("long float32 sums are accurate", async () => {
  const n = 1_000_003;
  const data = values(n).map((v) => Math.fround(v * v + 0.1));
  const exact = Float64Array.from(data).reduce((total, v) => total + v, 0);
  const folding = await webgpu({ barriers: true });
  for (const each of [backend, folding]) {
    const [got] = await compute(each, () => sum(tensor(data)));
    expect(Math.abs(got! - exact) / exact).toBeLessThan(5e-7);
  }
  folding.dispose();
});
