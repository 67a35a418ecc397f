import type { Backend } from "@dfine/tensor";
import type { Run } from "./sampling.ts";

const COUNTED = ["dispatches", "copies", "submits", "reads", "pipelines", "allocatedBytes"] as const;

/** What a run asks of a device that is driven by commands. */
export type Counts = Readonly<Record<(typeof COUNTED)[number], number>>;

/** Of the first run, which compiles and allocates, and of the last one. */
export interface RunCounts {
  readonly first: Counts;
  readonly last: Counts;
}

function countersOf(backend: Backend): Counts | undefined {
  return "counters" in backend ? (backend.counters as Counts) : undefined;
}

/** The same run, and what it asks of the backend; undefined where the backend counts nothing. */
export function counted(backend: Backend, run: Run): { run: Run; counts: () => RunCounts | undefined } {
  let counts: RunCounts | undefined;
  return {
    run: async () => {
      const before = countersOf(backend);
      await run();
      const after = countersOf(backend);
      if (!before || !after) return;
      const last = Object.fromEntries(COUNTED.map((name) => [name, after[name] - before[name]])) as Counts;
      counts = { first: counts?.first ?? last, last };
    },
    counts: () => counts,
  };
}
