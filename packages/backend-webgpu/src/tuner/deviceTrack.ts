import { type Buffer, OutOfMemoryError } from "@dfine/tensor";
import type { Slice } from "@dfine/tensor/kernel";
import type { Pipelines } from "../commands/pipelines.ts";
import type { CommandQueue } from "../commands/queue.ts";
import type { Stopwatch } from "../commands/stopwatch.ts";
import { clear, dispatchElements, elementKernel } from "../kernels/elements.ts";
import { planProduct } from "../kernels/product/plan.ts";
import { candidatesOf, shapeName } from "../kernels/product/shapes.ts";
import type { GpuRuntime } from "../kernels/runtime.ts";
import { shaderOf, type WgslKernel } from "../kernels/wgslKernel.ts";
import type { Attempt } from "./race.ts";
import type { Track, Unmeasured } from "./tuner.ts";

interface TrackOptions {
  readonly runtime: GpuRuntime;
  readonly queue: CommandQueue & { readonly pipelines: Pipelines };
  readonly stopwatch: Stopwatch;
  readonly alloc: (length: number) => Buffer;
  readonly free: (buffer: Buffer) => void;
  readonly read: (sources: readonly Slice[]) => Promise<ArrayLike<number>[]>;
}

const FILL = elementKernel({
  name: "tuner.fill",
  bindings: { to: "write f32" },
  body: `
fn element(i: i32) {
  let mixed = (u32(i) ^ (u32(i) >> 15u)) * 0x2c1b3c6du;
  to[u.o_to + i] = f32((mixed >> 12u) & 0xffffu) / 32768.0 - 1.0;
}`,
});

/** Elements of C that are compared, at its start and at its end. */
const COMPARED = 2 ** 13;
/** How far sums of k products of numbers from −1 to 1 may differ by their order, for each √k. */
const ALLOWED = 1e-4;

/** Times products on a device, in memory of their own. A kernel that cannot be compiled, or gives other sums, is passed over. */
export function deviceTrack({ runtime, queue, stopwatch, alloc, free, read }: TrackOptions): Track {
  const { products, tuning } = runtime;

  const memoryFor = ({ lengths }: Unmeasured): Map<Buffer, Buffer> | undefined => {
    const own = new Map<Buffer, Buffer>();
    try {
      for (const [buffer, length] of lengths) own.set(buffer, alloc(length));
      return own;
    } catch (error) {
      for (const buffer of own.values()) free(buffer);
      if (error instanceof OutOfMemoryError) return undefined;
      throw error;
    }
  };

  return {
    enter(met) {
      const own = memoryFor(met);
      if (!own) return undefined;
      const { product } = met;
      const { m, n, k, batch } = product.sizes;
      const length = m * n * batch;
      const placed = <V extends { buffer: Buffer; offset: number }>({ buffer, offset }: V) => ({
        buffer: own.get(buffer)!,
        offset,
      });
      const c = placed(met.c);
      const views = {
        factors: Object.fromEntries(Object.entries(met.factors).map(([name, view]) => [name, placed(view)])),
        c,
      };
      for (const buffer of own.values())
        dispatchElements(runtime, FILL, {
          ...{ views: { to: { buffer, offset: 0 } }, uniforms: {}, count: buffer.length },
        });
      const usual = shapeName(planProduct(products.device, product, { busyGroups: tuning.busyGroups }).shape);

      const shaders = new Map<string, Set<WgslKernel>>();
      const run = (name: string): void => {
        const used = shaders.get(name) ?? new Set();
        shaders.set(name, used);
        const on: GpuRuntime = {
          ...runtime,
          products: { device: products.device, choiceOf: () => name },
          dispatch(kernel, call) {
            used.add(kernel);
            runtime.dispatch(kernel, call);
          },
        };
        met.run(on, views);
        runtime.settle();
      };
      const isCompiled = (name: string): boolean =>
        [...(shaders.get(name) ?? [])].every((kernel) => queue.pipelines.has(shaderOf(kernel)));

      const some = async (): Promise<number[]> => {
        const count = Math.min(COMPARED, length);
        const part = (at: number): Slice => ({ ...c, offset: c.offset + at, length: count }) as Slice;
        const [start, end] = await read([part(0), part(length - count)]);
        return [...Array.from(start!), ...Array.from(end!)];
      };
      let expected: readonly number[] | undefined;
      const isRight = async (name: string): Promise<boolean> => {
        clear(runtime, c, length);
        run(name);
        const values = await some();
        expected ??= values;
        return values.every((value, i) => Math.abs(value - expected![i]!) <= ALLOWED * Math.sqrt(k));
      };

      return {
        candidates: candidatesOf(products.device, product.lies).map(shapeName),
        usual,
        async prepare(candidates) {
          queue.rehearse(() => {
            for (const name of candidates) run(name);
          });
          await queue.pipelines.whenPrepared();
        },
        async time(name, runs): Promise<Attempt> {
          if (!isCompiled(name)) return { fault: "it cannot be compiled here" };
          if (runs === 1 && !(await isRight(name))) return { fault: "its sums are wrong here" };
          const milliseconds = await stopwatch.time(() => {
            for (let i = 0; i < runs; i++) run(name);
          });
          return { milliseconds: milliseconds / runs };
        },
        leave() {
          for (const buffer of own.values()) free(buffer);
        },
      };
    },
  };
}
