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
import { makeBackend } from "./backend.ts";
import { openDevice } from "./device/openDevice.ts";
import { type WebGpuBackend, webgpu } from "./index.ts";
import { wgslKernel } from "./kernels/wgslKernel.ts";

const backend = await webgpu();
afterAll(() => backend.dispose());

const values = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => ((i * 7919) % 1013) / 506 - 1);
const compute = (on: WebGpuBackend, f: () => Tensor): Promise<TypedArray> =>
  readResults(on, () => [noGrad(f)]).then(([result]) => result!);
const MEBIBYTE = 2 ** 20;

describe("options", () => {
  it("that there are not are refused, with the nearest", async () => {
    const wrong = 'webgpu: there is no option "tunning"; did you mean "tuning"?';
    await expect(webgpu({ tunning: "fixed" } as never)).rejects.toThrow(wrong);
    await expect(webgpu({ tuning: "fast" as never })).rejects.toThrow(
      'webgpu: tuning is "fast"; it takes one of fixed, measured',
    );
  });
});

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

  it("larger than a piece are cut, and keep no more than a piece", async () => {
    const open = await openDevice();
    const staging: { size: number; destroy: unknown }[] = [];
    const create = open.device.createBuffer.bind(open.device);
    vi.spyOn(open.device, "createBuffer").mockImplementation((descriptor) => {
      const made = create(descriptor);
      if (descriptor.label === "staging") staging.push({ size: made.size, destroy: vi.spyOn(made, "destroy") });
      return made;
    });
    const writes = vi.spyOn(open.device.queue, "writeBuffer");
    const { backend: own } = makeBackend(open, { stagingBytes: 1030 });
    const lengths = [0, 1, 100, 257, 1000, 0, 4099, 3];
    const sources = lengths.map((length, i) => {
      const dtype = i % 2 === 0 ? "f32" : "i32";
      const buffer = own.alloc(length + i, dtype);
      const data = dtype === "f32" ? values(length) : Int32Array.from({ length }, (_, k) => k * (i + 1) - 2 ** 30);
      own.write({ buffer, offset: i, length }, data);
      return { slice: { buffer, offset: i, length }, data };
    });
    const slices = sources.map(({ slice }) => slice);
    const reading = [own.read(slices), own.read(slices), own.read([])];
    for (const { buffer } of slices) own.free(buffer);
    const expected = sources.map(({ data }) => data);
    expect(await Promise.all(reading)).toEqual([expected, expected, []]);
    // 5460 words in pieces of 257, twice, and a read of nothing.
    expect(staging.length).toBe(2 * 22 + 1);
    expect(Math.max(...staging.map(({ size }) => size))).toBe(1028);
    const kept = staging.filter(({ destroy }) => vi.mocked(destroy as () => void).mock.calls.length === 0);
    expect(kept.reduce((bytes, { size }) => bytes + size, 0)).toBeLessThanOrEqual(1028);
    expect(Math.max(...writes.mock.calls.map(([, , , , bytes]) => bytes!))).toBe(1028);
    own.dispose();
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

  const rehearsal = (own: WebGpuBackend, work: () => void) => withBackend(own, () => scope("test", () => noGrad(work)));

  it("are those that run then", async () => {
    const own = await webgpu({ compileAhead: true });
    let read: Promise<TypedArray[]> | undefined;
    await own.precompile(() =>
      rehearsal(own, () => {
        read = readTensors([f()]);
      }),
    );
    expect(await read).toEqual([new Float32Array(330)]);
    const { pipelines, dispatches } = own.counters;
    expect([pipelines > 0, dispatches]).toEqual([true, 0]);
    const total = Array.from(await compute(own, f)).reduce((a, b) => a + b, 0);
    expect(total).toBeCloseTo(10, 4);
    expect(own.counters.pipelines).toBe(pipelines);
    own.dispose();
  });

  it("are compiled while others run, also for two who ask at once", async () => {
    const own = await webgpu({ compileAhead: true });
    const twice = () => rehearsal(own, () => void mul(f(), 2));
    const compiling = [own.precompile(() => rehearsal(own, () => void f())), own.precompile(twice)];
    const between = compute(own, () => mul(tensor([3, 4]), 5));
    await Promise.all(compiling);
    expect(await between).toEqual(Float32Array.of(15, 20));
    const { pipelines } = own.counters;
    await compute(own, () => mul(f(), 2));
    expect(own.counters.pipelines).toBe(pipelines);
    own.dispose();
  });

  it("are not those of work that waits, which is refused", async () => {
    const own = await webgpu({ compileAhead: true });
    await expect(own.precompile(async () => void (await compute(own, f)))).rejects.toThrow(
      /precompile rehearses work that returns at once; this returned a promise/,
    );
    await expect(own.precompile(() => Promise.reject(new RangeError("lost")))).rejects.toThrow(BackendError);
    expect((await compute(own, () => tensor([7])))[0]).toBe(7);
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

  it("hold nobody up when the work is at fault or its device is lost", async () => {
    const own = await webgpu({ compileAhead: true });
    const fault = () => {
      throw new RangeError("at fault");
    };
    await expect(own.precompile(fault)).rejects.toThrow("at fault");
    expect((await compute(own, () => tensor([7])))[0]).toBe(7);
    const losing = own.precompile(() => rehearsal(own, () => void exp(tensor([1]))));
    own.device.destroy();
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
