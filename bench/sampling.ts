import { setTimeout as pause } from "node:timers/promises";
import Benchmark from "benchmark";

/** Something to measure; each call is one run. */
export type Run = () => Promise<unknown>;

/** Rounds of what takes longer than all its time in one run. */
const SLOW_ROUNDS = 3;
// Thread pools spin for a while after their last work, which costs whoever comes next.
const CALM_MILLISECONDS = 100;
const SHORTEST_SAMPLE_SECONDS = 1e-3;

/** Seconds that each run took, for about `seconds`. */
function sample(run: Run, seconds: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const benchmark = new Benchmark({
      defer: true,
      minSamples: 1,
      maxTime: seconds,
      minTime: SHORTEST_SAMPLE_SECONDS,
      fn: (deferred: { resolve(): void }) => {
        run().then(() => deferred.resolve(), reject);
      },
      onComplete: () => resolve(benchmark.stats.sample as number[]),
    });
    benchmark.run({ async: true });
  });
}

/**
 * Milliseconds per run of each implementation: rounds in which all take their turn, so that what else happens on the
 * machine meets all of them alike. First runs are not counted.
 */
export async function alternate(
  runs: readonly Run[],
  { seconds, rounds: most }: { seconds: number; rounds: number },
): Promise<number[][]> {
  const rounds: number[] = [];
  for (const run of runs) {
    const start = performance.now();
    await run();
    rounds.push((performance.now() - start) / 1e3 > seconds ? Math.min(SLOW_ROUNDS, most) : most);
  }
  const times = runs.map((): number[] => []);
  for (let round = 0; round < most; round++)
    for (const [i, run] of runs.entries()) {
      if (round >= rounds[i]!) continue;
      await pause(CALM_MILLISECONDS);
      if (rounds[i] === most) await run();
      for (const taken of await sample(run, seconds / most)) times[i]!.push(taken * 1e3);
    }
  return times;
}
