import type { Backend } from "@dfine/tensor";
import { counted } from "./counts.ts";
import { BenchError } from "./options.ts";
import { type Implementation, type NotRun, type Row, timesOf } from "./row.ts";
import { alternate } from "./sampling.ts";
import type { Contender, Work } from "./work.ts";

/** Largest difference of kernels' results, as a share of the largest value: rounding of sums in another order. */
const ALLOWED_DIFFERENCE = 1e-4;

/** Those that have one thread, on the CPU. */
const SINGLE: readonly Implementation[] = ["gpu.js", "jax-js"];

export interface Measured {
  readonly rows: readonly Row[];
  readonly notRun: readonly NotRun[];
}

/** Largest difference between two arrays as a share of the second's largest value; infinite where sizes differ. */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let [worst, largest] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!);
    worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return worst === 0 ? 0 : worst / largest;
}

/** @throws BenchError where a contender does other work than the first */
async function compareOutputs(work: Work, contenders: readonly Contender[]): Promise<void> {
  const [first, ...others] = contenders;
  if (others.length === 0) return;
  const own = await first!.outputs!();
  for (const { implementation, outputs } of others) {
    const theirs = await outputs!();
    const agree = own.every((values, i) => {
      const other = theirs[i] ?? [];
      return work.agreement === "values"
        ? difference(values, other) <= ALLOWED_DIFFERENCE
        : values.length === other.length;
    });
    if (own.length !== theirs.length || !agree)
      throw new BenchError(`${work.subject.name}: ${implementation} and ours give different ${work.agreement}`);
  }
}

/** Measures ours and all peers in turn. @throws BenchError where they do not do the same work */
export async function measure(
  work: Work,
  { backend, threads, ...pace }: { backend: Backend; threads: number; seconds: number; rounds: number },
): Promise<Measured> {
  const { subject, cost } = work;
  const started = await work.ours(backend);
  const { run, counts } = counted(backend, started.run);
  const ours: Contender = { ...started, run };
  await run();
  const rss = process.resourceUsage().maxRSS * 1024;
  const contenders = [ours];
  const notRun: NotRun[] = [];
  for (const peer of work.peers)
    if ("reason" in peer) notRun.push({ ...subject, threads, ...peer });
    else contenders.push(await peer.start());
  await compareOutputs(work, contenders);
  const times = await alternate(
    contenders.map(({ run }) => run),
    pace,
  );
  const rows = contenders.map(({ implementation, learned }, i): Row => {
    const row = { ...subject, threads: SINGLE.includes(implementation) ? 1 : threads, implementation };
    const own = { peak_bytes: backend.memory().peakBytes, rss_bytes: rss, device: backend.details, counts: counts() };
    return { ...row, ...timesOf(times[i]!, cost), learned: learned?.(), ...(implementation === "ours" ? own : {}) };
  });
  for (const contender of contenders) await contender.dispose();
  return { rows, notRun };
}
