import type { Buffer } from "@dfine/tensor";
import type { Stopwatch } from "../commands/stopwatch.ts";
import type { Pace } from "../device/workLimits.ts";
import { dispatchElements, elementKernel } from "./elements.ts";
import { multiplyViews } from "./matmul.ts";
import type { GpuRuntime } from "./runtime.ts";

const COPY = elementKernel({
  name: "pace.copy",
  bindings: { from: "read f32", to: "write f32" },
  body: "fn element(i: i32) { to[u.o_to + i] = from[u.o_from + i]; }",
});

/** Sides of square products, elements of copies: the larger where the smaller are done before their time can be told. */
const SIDES = [512, 2048];
const COUNTS = [2 ** 20, 2 ** 24];
/** Milliseconds from which on a time is taken for the device's, and not for that of starting. */
const TELLING = 1;
/** Of each the best is taken, after one that warms up. */
const RUNS = 3;

/** What a device computes in a second, in a product and in a copy. */
export async function measurePace(
  runtime: GpuRuntime,
  {
    stopwatch,
    alloc,
    free,
  }: { stopwatch: Stopwatch; alloc: (length: number) => Buffer; free: (buffer: Buffer) => void },
): Promise<Pace> {
  const timed = async (
    length: number,
    { buffers, run }: { buffers: number; run: (views: Buffer[]) => void },
  ): Promise<number> => {
    const memory = Array.from({ length: buffers }, () => alloc(length));
    try {
      let least = Number.POSITIVE_INFINITY;
      for (let i = 0; i <= RUNS; i++) {
        const taken = await stopwatch.time(() => run(memory));
        if (i > 0) least = Math.min(least, taken);
      }
      return least;
    } finally {
      for (const buffer of memory) free(buffer);
    }
  };
  const product = (side: number) => ({
    work: side ** 3,
    taken: () =>
      timed(side * side, {
        buffers: 3,
        run([a, b, c]) {
          const view = (buffer: Buffer) =>
            ({ buffer, dtype: "f32", shape: [side, side], strides: [side, 1], offset: 0 }) as const;
          multiplyViews(runtime, { a: view(a!), b: view(b!), c: view(c!) });
          runtime.settle();
        },
      }),
  });
  const copy = (count: number) => ({
    work: count,
    taken: () =>
      timed(count, {
        buffers: 2,
        run([from, to]) {
          const views = { from: { buffer: from!, offset: 0 }, to: { buffer: to!, offset: 0 } };
          dispatchElements(runtime, COPY, { views, uniforms: {}, count });
        },
      }),
  });
  return { products: await perSecond(SIDES.map(product)), visits: await perSecond(COUNTS.map(copy)) };
}

/** Work by time of the first that takes long enough to tell, or of the last. */
export async function perSecond(
  probes: readonly { readonly work: number; readonly taken: () => Promise<number> }[],
): Promise<number> {
  let pace = 0;
  for (const { work, taken } of probes) {
    const milliseconds = await taken();
    // A clock that stands still tells nothing; the work then counts as quick.
    pace = (1000 * work) / Math.max(milliseconds, 1e-3);
    if (milliseconds >= TELLING) break;
  }
  return pace;
}
