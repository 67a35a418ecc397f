import type { Backend } from "../backend.ts";
import { copyInto } from "../ops/copy.ts";
import { ones, readResults } from "../ops/create.ts";
import { matmul } from "../ops/matmul.ts";
import { noGrad } from "../runtime.ts";
import { Scope, scope } from "../scope.ts";
import type { Tensor } from "../tensor.ts";

/** The fastest that a backend was seen to be. */
export interface Ceiling {
  /** In a product of two square matrices, a multiply-add being two operations. */
  readonly gflops: number;
  /** In a copy, bytes read and written. */
  readonly gbps: number;
}

const SIDE = 1024;
const COPIED = 2 ** 23;
const RUNS = 5;
/** Milliseconds that a run should take: in less, a device that is started and read from shows its latency. */
const LONG_ENOUGH = 10;
/** Times that work is done in one run, at most. */
const MOST_REPEATS = 256;

/**
 * Measures a product [1024, 1024] · [1024, 1024], and a copy of 32 MiB after which half of it is copied back, since backends make
 * one kernel of copies that are alike; each as often in a run as takes ten milliseconds: the best of five runs, after those that
 * compile and find out how often that is.
 */
export async function measureCeiling(backend: Backend): Promise<Ceiling> {
  using held = new Scope("ceiling", { backend, gradients: false });
  const made = (shape: readonly number[]): Tensor => held.run(() => ones(shape));
  const [a, b, from, to] = [made([SIDE, SIDE]), made([SIDE, SIDE]), made([COPIED]), made([COPIED])];
  const best = async (run: () => Tensor): Promise<number> => {
    const timed = async (repeats: number): Promise<number> => {
      const start = performance.now();
      // Where kernels only queue, they have run when an element of the last one's result is read.
      await readResults(backend, () =>
        noGrad(() => {
          for (let i = 1; i < repeats; i++) scope("again", () => void run());
          return [run().slice([{ start: 0, end: 1 }])];
        }),
      );
      return performance.now() - start;
    };
    await timed(1);
    let repeats = 1;
    while (repeats < MOST_REPEATS && (await timed(repeats)) < LONG_ENOUGH) repeats *= 4;
    const times: number[] = [];
    for (let i = 0; i < RUNS; i++) times.push((await timed(repeats)) / repeats);
    return Math.min(...times);
  };
  const product = await best(() => matmul(a, b).reshape([-1]));
  const halves = [from, to].map((whole) => held.run(() => whole.slice([{ end: COPIED / 2 }]))) as [Tensor, Tensor];
  const copies = await best(() => {
    copyInto(to, from);
    copyInto(...halves);
    return to;
  });
  return { gflops: (2 * SIDE ** 3) / product / 1e6, gbps: (2 * 4 * 1.5 * COPIED) / copies / 1e6 };
}
