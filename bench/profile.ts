import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Backend, measureCeiling, type Profile, profiled } from "@dfine/tensor";
import type { Measured } from "./measure.ts";
import type { Job } from "./options.ts";
import { type Row, timesOf } from "./row.ts";
import type { Work } from "./work.ts";

/** Runs of which a profile is taken, after one that compiles. */
export const PROFILED_RUNS = 3;

async function profileOf(work: Work, backend: Backend): Promise<Profile> {
  const watched = profiled(backend, await measureCeiling(backend));
  const { run, dispose } = await work.ours(watched.backend);
  await run();
  await watched.settle();
  watched.profile({ restart: true });
  for (let i = 0; i < PROFILED_RUNS; i++) await run();
  await watched.settle();
  const profile = watched.profile();
  await dispose();
  return profile;
}

/**
 * The same, and where the time of ours goes: in runs of their own, which are watched. Beside it that of another state of
 * this repository, where one is given.
 */
export async function withProfile(
  measured: Measured,
  { work, backend, job }: { work: Work; backend: Backend; job: Job },
): Promise<Measured> {
  const profile = await profileOf(work, backend);
  const rows = measured.rows.map((row) => (row.implementation === "ours" ? { ...row, profile } : row));
  const { before } = job.options;
  const earlier = before === undefined || job.kind === "kernels" ? [] : [await rowOfBefore(work, job, before)];
  return { ...measured, rows: [...rows, ...earlier] };
}

async function rowOfBefore({ subject }: Work, job: Job, root: string): Promise<Row> {
  const from = (file: string): Promise<unknown> => import(pathToFileURL(join(root, file)).href);
  const { resolveBackend } = (await from("packages/dfine/dist/index.js")) as typeof import("dfine");
  const { preset, threads, options } = job;
  const work =
    job.kind === "train"
      ? ((await from("bench/train.ts")) as typeof import("./train.ts")).trainWork({
          ...{ preset: preset!, size: options.trainSize, batch: options.trainBatch, threads },
        })
      : ((await from("bench/infer.ts")) as typeof import("./infer.ts")).inferWork({
          ...{ preset: preset!, size: options.size, threads, peersFolder: undefined },
        });
  const backend = await resolveBackend("cpu", { threads });
  const profile = await profileOf(work, metered(backend));
  backend.dispose();
  return {
    ...{ ...subject, threads, implementation: "before" },
    ...timesOf([profile.wall / PROFILED_RUNS]),
    profile,
  };
}

/** A backend with a meter: its own if it has one, else calls are timed, what they do in JavaScript included. */
function metered(backend: Backend): Backend {
  if (backend.meter) return backend;
  const meter = { launches: 0, milliseconds: 0, waiting: 0 };
  const timed = <Args extends unknown[]>(run: (...args: Args) => void) => {
    return (...args: Args): void => {
      const start = performance.now();
      run(...args);
      meter.launches++;
      meter.milliseconds += performance.now() - start;
    };
  };
  const overrides = Object.fromEntries(
    Object.entries(backend.overrides).map(([op, own]) => [
      op,
      { select: own.select.bind(own), run: timed(own.run.bind(own) as (call: never) => void) },
    ]),
  );
  return Object.create(backend, {
    overrides: { value: overrides },
    run: { value: timed(backend.run.bind(backend)) },
    meter: { value: () => meter },
  });
}
