import {
  BackendError,
  exp,
  layerNorm,
  mul,
  noGrad,
  readResults,
  softmax,
  sum,
  type Tensor,
  type TypedArray,
  tensor,
} from "@dfine/tensor";
import { type Binding, type Kernel, load, loadAt, row, type Stage } from "@dfine/tensor/kernel";
import { assertSame } from "@dfine/tensor/testing";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { kernelOf } from "../../tensor/test/kernelTrial.ts";
import { cpu } from "./index.ts";

const one = cpu({ threads: 1, wide: false });
const two = cpu({ threads: 2 });
const three = cpu({ threads: 3 });
const plain = cpu({ threads: 1, relaxedSimd: false });
beforeAll(async () => {
  for (const backend of [two, three]) await backend.ready();
});
afterAll(() => {
  for (const backend of [one, two, three, plain]) backend.dispose();
});

function values(length: number, seed = 1): Float32Array {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

const compute = (backend: typeof one, f: () => Tensor): Promise<TypedArray> =>
  readResults(backend, () => [noGrad(f)]).then(([result]) => result!);

describe("options", () => {
  it("that there are not are refused, with the nearest", () => {
    expect(() => cpu({ thread: 1 } as never)).toThrow('cpu: there is no option "thread"; did you mean "threads"?');
    expect(() => cpu({ relaxedSimd: 1 as never })).toThrow("cpu: relaxedSimd is 1; it takes true or false");
  });
});

describe("width", () => {
  it("can be turned off by an option, or by the environment where no option is given", () => {
    const widthUnder = (variable: string, options: Parameters<typeof cpu>[0] = {}): boolean => {
      vi.stubEnv("DFINE_WIDE", variable);
      const backend = cpu({ threads: 1, ...options });
      backend.dispose();
      vi.unstubAllEnvs();
      return backend.wide;
    };
    expect(widthUnder("auto", { wide: false })).toBe(false);
    expect(widthUnder("off")).toBe(false);
    expect(widthUnder("off", { wide: "auto" })).toBe(widthUnder(""));
    expect(() => widthUnder("0")).toThrow('cpu: the environment variable DFINE_WIDE is "0"; it takes auto or off');
    vi.unstubAllEnvs();
    expect(() => cpu({ wide: true as never })).toThrow('cpu: wide is true; it takes "auto" or false');
  });

  it("is told", () => {
    expect(one.details).toBe("1 thread, vectors of 128 bits");
    expect(two.details).toBe(`2 threads, vectors of ${two.wide ? 256 : 128} bits`);
  });
});

describe("memory", () => {
  it("is counted, and comes back", () => {
    const backend = cpu({ threads: 1 });
    const before = backend.memory();
    const buffers = [10, 1000, 100_000].map((length) => backend.alloc(length, "f32"));
    const during = backend.memory();
    expect(during.buffers).toBe(3);
    expect(during.bytes - before.bytes).toBeGreaterThanOrEqual(4 * 101_010);
    for (const buffer of buffers) backend.free(buffer);
    expect(backend.memory()).toMatchObject({ bytes: before.bytes, buffers: 0, peakBytes: during.peakBytes });
    expect(() => backend.free(buffers[0]!)).toThrow(/freed twice/);
    backend.dispose();
  });

  it("that runs out says what would fit, and stays usable", async () => {
    const backend = cpu({ threads: 1, memoryLimitBytes: 16 * 2 ** 20 });
    expect(() => backend.alloc(2 ** 23, "f32")).toThrow(/out of memory: 32\.0 MiB asked for.*would fit/);
    expect(() => backend.alloc(2 ** 23, "f32")).toThrow(BackendError);
    expect([...(await compute(backend, () => sum(tensor([1, 2, 3]))))]).toEqual([6]);
    backend.dispose();
  });

  it("reads and writes slices of every dtype, from any array type", async () => {
    const buffer = one.alloc(6, "f32");
    one.write({ buffer, offset: 0, length: 6 }, Float64Array.of(0.1, 1, 2, 3, 4, 5));
    one.write({ buffer, offset: 2, length: 2 }, Int32Array.of(7, 8));
    const ints = one.alloc(3, "i32");
    one.write({ buffer: ints, offset: 0, length: 3 }, Int32Array.of(-1, 2 ** 31 - 1, -(2 ** 31)));
    const [floats, whole] = await one.read([
      { buffer, offset: 0, length: 5 },
      { buffer: ints, offset: 0, length: 3 },
    ]);
    expect(floats).toEqual(Float32Array.of(0.1, 1, 7, 8, 4));
    expect(whole).toEqual(Int32Array.of(-1, 2 ** 31 - 1, -(2 ** 31)));
    expect(() => one.write({ buffer, offset: 0, length: 6 }, new Float32Array(5))).toThrow(
      /5 values do not fill a slice of 6/,
    );
    one.free(buffer);
    one.free(ints);
  });
});

describe("threads", () => {
  it.each([
    ["exp", () => exp(tensor(values(300_001)))],
    ["scaled channels", () => mul(tensor(values(4 * 64 * 700), [4, 64, 700]), tensor(values(64), [64, 1]))],
    ["softmax of short rows", () => softmax(tensor(values(5000 * 33), [5000, 33]), -1)],
    ["softmax over the middle", () => softmax(tensor(values(3 * 40 * 1500), [3, 40, 1500]), 1)],
    [
      "layerNorm",
      () =>
        layerNorm(tensor(values(700 * 256), [700, 256]), { weight: tensor(values(256)), bias: tensor(values(256, 3)) }),
    ],
    ["sum of all", () => sum(tensor(values(524_287)))],
    ["sum over rows", () => sum(tensor(values(3000 * 70), [3000, 70]), 0)],
    ["sum over columns", () => sum(tensor(values(3000 * 70), [3000, 70]), 1)],
    [
      "transposed copy",
      () =>
        tensor(values(500 * 301), [500, 301])
          .permute([1, 0])
          .contiguous(),
    ],
  ] as const)("%s: 1, 2 and 3 give the same bits", async (_, f) => {
    const expected = await compute(one, f);
    for (let round = 0; round < 3; round++) {
      assertSame("2 threads", await compute(two, f), expected);
      assertSame("3 threads", await compute(three, f), expected);
    }
  });

  it("one needs no shared memory and no worker", async () => {
    const platform = globalThis as { SharedArrayBuffer?: unknown; Worker?: unknown; Atomics?: unknown };
    const before = {
      SharedArrayBuffer: platform.SharedArrayBuffer,
      Worker: platform.Worker,
      Atomics: platform.Atomics,
    };
    Object.assign(platform, { SharedArrayBuffer: undefined, Worker: undefined, Atomics: undefined });
    try {
      const backend = cpu({ threads: 1 });
      expect((await compute(backend, () => exp(tensor(values(300_001)))))[0]).toBeCloseTo(Math.exp(values(1)[0]!), 5);
      backend.dispose();
      expect(cpu().threads).toBe(1);
      expect(() => cpu({ threads: 2 })).toThrow(/2 threads need shared memory/);
    } finally {
      Object.assign(platform, before);
    }
  });

  it("are counted from 1", () => {
    for (const threads of [0, 1.5, 100_000])
      expect(() => cpu({ threads })).toThrow(`threads must be a whole number from 1 to 256, got ${threads}`);
    expect(() => cpu({ threads: 1.5 })).toThrow(BackendError);
  });
});

/** In float64. */
const sumOf = (data: Float32Array): number => Float64Array.from(data).reduce((total, v) => total + v, 0);

describe("long float32 sums are accurate", () => {
  const n = 1_000_003;
  const data = values(n).map((v) => Math.fround(v * v + 0.1));
  const exact = sumOf(data);
  const close = (got: number, want: number): void => expect(Math.abs(got - want) / want).toBeLessThan(5e-7);

  it.each([
    ["relaxed", one],
    ["plain", plain],
  ] as const)("%s", async (_, backend) => {
    close((await compute(backend, () => sum(tensor(data))))[0]!, exact);
    // Lanes along a kept axis: each sums 250 000 strided elements.
    const columns = await compute(backend, () => sum(tensor(data.subarray(0, 1_000_000), [250_000, 4]), 0));
    for (let c = 0; c < 4; c++) close(columns[c]!, sumOf(data.subarray(0, 1_000_000).filter((_v, i) => i % 4 === c)));
    // 300 000 runs of three, which do not join into one axis.
    const runs = await compute(backend, () => {
      const x = tensor(data.subarray(0, 900_000), [300_000, 3]);
      return sum(mul(x, tensor([1, 1, 1])).permute([1, 0]));
    });
    close(runs[0]!, sumOf(data.subarray(0, 900_000)));
  });
});

describe("addresses above 2 GiB", () => {
  it("are unsigned in every kind of kernel", async () => {
    for (const threads of [1, 2]) {
      const backend = cpu({ threads });
      const filler = backend.alloc(2 ** 29 + 2 ** 20, "f32");
      const n = 70_003;
      const x = values(n);
      const alloc = (data: TypedArray): Binding => {
        const buffer = backend.alloc(data.length, data instanceof Int32Array ? "i32" : "f32");
        backend.write({ buffer, offset: 0, length: data.length }, data);
        return { buffer, offset: 0, strides: [1], length: data.length };
      };
      const index = Int32Array.from({ length: n }, (_, i) => (i * 7919) % n);
      const [a, i, out, gathered, counts, total] = [
        alloc(x),
        alloc(index),
        ...[n, n, n, 1].map((k) => alloc(new Float32Array(k))),
      ] as Binding[];
      const run = (
        stages: Stage[],
        operands: Binding[],
        options: { kinds?: Kernel["axes"]; indexed?: number; modes: string },
      ): void => {
        const described = operands.map((binding, k) => ({
          ...{
            dtype: binding.buffer.dtype,
            indexed: k === options.indexed,
            offset: 0,
            length: binding.length,
            data: [],
          },
          mode:
            options.modes[k] === "r"
              ? ("read" as const)
              : options.modes[k] === "w"
                ? ("write" as const)
                : ("update" as const),
          strides: k === options.indexed ? [0] : binding.strides,
        }));
        const kernel = kernelOf(options.kinds ?? ["map"], described, { stages });
        backend.run(kernel, {
          sizes: [n],
          operands: operands.map((b, k) => ({ ...b, strides: described[k]!.strides })),
          params: [],
        });
      };
      run([{ kind: "store", perRow: false, writes: [{ operand: 1, expr: load(0).mul(2) }] }], [a!, out!], {
        modes: "rw",
      });
      run(
        [{ kind: "store", perRow: false, writes: [{ operand: 2, expr: loadAt(0, load(1, "i32")) }] }],
        [a!, i!, gathered!],
        { modes: "rrw", indexed: 0 },
      );
      run(
        [{ kind: "store", perRow: false, writes: [{ operand: 2, index: load(1, "i32"), expr: load(0) }] }],
        [a!, i!, counts!],
        { modes: "rru", indexed: 2 },
      );
      run(
        [
          { kind: "reduce", op: "max", expr: load(0) },
          { kind: "store", perRow: true, writes: [{ operand: 1, expr: row(0) }] },
        ],
        [a!, { ...total!, strides: [0] }],
        { modes: "rw", kinds: ["reduce"] },
      );
      const all = await backend.read(
        [out!, gathered!, counts!, total!].map(({ buffer }) => ({ buffer, offset: 0, length: buffer.length })),
      );
      expect(all[0]).toEqual(x.map((v) => v * 2));
      expect(all[1]).toEqual(Float32Array.from(index, (k) => x[k]!));
      const scattered = new Float32Array(n);
      index.forEach((to, k) => {
        scattered[to] = x[k]!;
      });
      expect(all[2]).toEqual(scattered);
      expect(all[3]![0]).toBe(x.reduce((p, v) => Math.max(p, v)));
      backend.free(filler);
      backend.dispose();
    }
  });
});
