import { BackendError } from "@dfine/tensor";
import { describe, expect, it } from "vitest";
import { Runtime } from "./cpuRuntime.ts";
import type { Job, WasmKernel } from "./runtime.ts";
import { Assembler } from "./wasm/assembler.ts";

const make = (threads: number, deadlineMilliseconds = 5000) =>
  new Runtime({ threads, relaxedSimd: false, memoryLimitBytes: 2 ** 30, deadlineMilliseconds });

/** Launches, and waits until it is done. */
function run(runtime: Runtime, kernel: WasmKernel, job: Job): void {
  runtime.launch(kernel, job);
  runtime.heapI32();
}

/** Adds 1 to every word, and notes the thread in a second array. */
const increment: WasmKernel = {
  key: "increment",
  name: "increment",
  build(options) {
    const f = new Assembler(options);
    const [data, who] = [f.argLocal(0), f.argLocal(1)];
    const [i, at] = [f.local("i32"), f.local("i32")];
    f.for(i, { from: f.begin, to: f.end }, () => {
      f.get(i).i32(2).op("i32.shl").get(data).op("i32.add").tee(at);
      f.get(at).memory("i32.load").i32(1).op("i32.add").memory("i32.store");
      f.get(i).i32(2).op("i32.shl").get(who).op("i32.add").thread().memory("i32.store");
    });
    return f.finish();
  },
};

/** Traps in every chunk but the first when word 0 is 1; on a worker only when it is 2; loops for ever on a worker when it is 3. */
const faulty: WasmKernel = {
  key: "faulty",
  name: "faulty kernel",
  build(options) {
    const f = new Assembler(options);
    const [mode, i] = [f.argLocal(0), f.local("i32")];
    const trap = () => f.i32(-4).memory("i32.load", 100).set(i);
    f.get(mode).i32(1).op("i32.eq").get(f.begin).op("i32.and").if(trap);
    f.get(mode).i32(2).op("i32.eq").thread().op("i32.and").if(trap);
    f.get(mode)
      .i32(3)
      .op("i32.eq")
      .thread()
      .op("i32.and")
      .if(() => f.loop((again) => f.br(again)));
    f.for(i, { from: 0, to: 2_000_000 }, () => {});
    return f.finish();
  },
};

describe.each([1, 2, 3])("%i threads", (threads) => {
  it("run every unit once, whatever the chunks", () => {
    const runtime = make(threads);
    const seen = new Set<number>();
    for (const [units, grain] of [
      [0, 4],
      [1, 1],
      [10_000, 7],
      [100_000, 1000],
      [5, 100],
    ] as const) {
      for (let round = 0; round < 30; round++) {
        runtime.withScratch(units * 4, (data) =>
          runtime.withScratch(units * 4, (who) => {
            runtime.heapI32().fill(round, data / 4, data / 4 + units);
            runtime.launch(increment, { args: [data, who], units, grain });
            const values = runtime.heapI32().subarray(data / 4, data / 4 + units);
            expect(values.every((v) => v === round + 1)).toBe(true);
            for (const thread of runtime.heapI32().subarray(who / 4, who / 4 + units)) seen.add(thread);
          }),
        );
      }
    }
    for (const thread of seen) expect(thread).toBeLessThan(threads);
    expect(runtime.kernelCount).toBe(1);
    runtime.dispose();
    expect(() => runtime.launch(increment, { args: [], units: 1, grain: 1 })).toThrow("disposed");
  });
});

describe("threads", () => {
  it("really share the work, after growth too, and answer after a sleep", async () => {
    const runtime = make(2);
    const units = 4000;
    const shared = async (): Promise<void> => {
      const until = performance.now() + 20_000;
      for (;;) {
        const helped = runtime.withScratch(units * 8, (data) => {
          const who = data + units * 4;
          runtime.launch(faulty, { args: [0], units: 64, grain: 1 });
          runtime.launch(increment, { args: [data, who], units, grain: 1 });
          return runtime
            .heapI32()
            .subarray(who / 4, who / 4 + units)
            .includes(1);
        });
        if (helped) return;
        if (performance.now() > until) throw new Error("the worker never took a chunk");
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    };
    await shared();
    runtime.heap.alloc(200 * 2 ** 20);
    await shared();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await shared();
    runtime.dispose();
  });

  it("a trap on the caller names the kernel and poisons the runtime", () => {
    for (const threads of [1, 2]) {
      const runtime = make(threads);
      expect(() => run(runtime, faulty, { args: [1], units: 2, grain: 1 })).toThrow(
        /faulty kernel failed.*out of bounds/,
      );
      expect(() => runtime.launch(increment, { args: [64, 64], units: 1, grain: 1 })).toThrow(/unusable since/);
      expect(() => runtime.alloc(1, "f32")).toThrow(BackendError);
      runtime.dispose();
    }
  });

  const untilThrown = async (run: () => void): Promise<unknown> => {
    for (let tries = 0; tries < 2000; tries++) {
      try {
        run();
      } catch (error) {
        return error;
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return undefined;
  };

  it("a trap on a worker names the kernel and poisons the runtime", async () => {
    const runtime = make(2);
    const error = await untilThrown(() => run(runtime, faulty, { args: [2], units: 16, grain: 1 }));
    expect(String(error)).toMatch(/faulty kernel failed on a worker: RuntimeError: .*out of bounds/);
    expect(() => runtime.alloc(1, "f32")).toThrow(/faulty kernel/);
    runtime.dispose();
  });

  it("a worker that never answers is noticed", async () => {
    const runtime = make(2, 200);
    const error = await untilThrown(() => run(runtime, faulty, { args: [3], units: 16, grain: 1 }));
    expect(String(error)).toMatch(/part of faulty kernel and has not answered/);
    runtime.dispose();
  });
});

describe("WasmKernel", () => {
  it("that does not validate is an error with its name", () => {
    const broken: WasmKernel = { key: "k", name: "broken", build: () => Uint8Array.of(1, 2, 3) };
    expect(() => make(1).launch(broken, { args: [], units: 1, grain: 1 })).toThrow(/broken does not compile/);
    const empty: WasmKernel = { key: "e", name: "empty", build: () => Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0) };
    expect(() => make(1).launch(empty, { args: [], units: 1, grain: 1 })).toThrow("it exports no function run");
  });
});
