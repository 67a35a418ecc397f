import { type Backend, measureCeiling, profiled } from "@dfine/tensor";
import type { Measured } from "./measure.ts";
import type { Work } from "./work.ts";

/** Runs of which a profile is taken, after one that compiles. */
export const PROFILED_RUNS = 3;

/** The same, and where the time of ours goes: in runs of their own, which are watched. */
export async function withProfile(measured: Measured, work: Work, backend: Backend): Promise<Measured> {
  const watched = profiled(backend, await measureCeiling(backend));
  const { run, dispose } = await work.ours(watched.backend);
  await run();
  watched.profile({ restart: true });
  for (let i = 0; i < PROFILED_RUNS; i++) await run();
  const profile = watched.profile();
  await dispose();
  const rows = measured.rows.map((row) => (row.implementation === "ours" ? { ...row, profile } : row));
  return { ...measured, rows };
}
