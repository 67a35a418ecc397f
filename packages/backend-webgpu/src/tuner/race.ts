/** What a candidate took, or that it cannot be had. */
export type Attempt = { readonly milliseconds: number } | { readonly fault: string };

export interface Race<C> {
  readonly candidates: readonly C[];
  /** What is taken unless another is clearly faster. */
  readonly usual: C;
  /** Compiles them, beside each other. */
  readonly prepare?: (candidates: readonly C[]) => Promise<void>;
  /** Runs one so many times, and gives how long one took. */
  readonly time: (candidate: C, runs: number) => Promise<Attempt>;
}

export interface RaceResult<C> {
  readonly best: C;
  readonly milliseconds: number;
  readonly usualMilliseconds: number;
}

/** Milliseconds that a candidate runs for each of its times. */
const LONG_ENOUGH = 2;
const MOST_RUNS = 32;
/** A candidate that takes longer than the best so far by this factor gets no second chance. */
const HOPELESS = 1.5;
const TIMES = 3;
/** What another kernel must gain, or noise would choose. */
const LEAST_GAIN = 0.97;

/** Times candidates, each the best of three, and gives the fastest; undefined where the usual one cannot be timed. */
export async function race<C>({ candidates, usual, prepare, time }: Race<C>): Promise<RaceResult<C> | undefined> {
  await prepare?.(candidates);
  const timed = async (candidate: C, best: number): Promise<number | undefined> => {
    const first = await time(candidate, 1);
    if ("fault" in first) return undefined;
    if (first.milliseconds > 4 * HOPELESS * best) return first.milliseconds;
    const runs = Math.max(1, Math.min(MOST_RUNS, Math.ceil(LONG_ENOUGH / Math.max(first.milliseconds, 1e-6))));
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < TIMES; i++) {
      const attempt = await time(candidate, runs);
      if ("fault" in attempt) return undefined;
      least = Math.min(least, attempt.milliseconds);
      if (least > HOPELESS * best) break;
    }
    return least;
  };
  const usualMilliseconds = await timed(usual, Number.POSITIVE_INFINITY);
  if (usualMilliseconds === undefined) return undefined;
  let [best, milliseconds] = [usual, usualMilliseconds];
  for (const candidate of candidates) {
    if (candidate === usual) continue;
    const taken = await timed(candidate, milliseconds);
    if (taken !== undefined && taken < milliseconds && taken < LEAST_GAIN * usualMilliseconds)
      [best, milliseconds] = [candidate, taken];
  }
  return { best, milliseconds, usualMilliseconds };
}
