import { resolveBackend } from "dfine";
import { GRADIENTS, gradientWork } from "./convGradients.ts";
import { firstDetections } from "./firstDetection.ts";
import { inferWork } from "./infer.ts";
import { KERNELS, kernelWork } from "./kernels.ts";
import { type Measured, measure } from "./measure.ts";
import type { BenchOptions, Job } from "./options.ts";
import { withProfile } from "./profile.ts";
import { trainWork } from "./train.ts";
import type { Work } from "./work.ts";

/** What a process answers. */
export type Reply = { readonly measured: Measured } | { readonly failed: string };

/** Kernels by number of threads, then models: each in a process of its own, so that memory is that work's alone. */
export function jobsOf(options: BenchOptions): Job[] {
  return options.threads.flatMap((threads) =>
    options.only.flatMap((kind): Job[] =>
      kind === "kernels" || kind === "start"
        ? [{ kind, threads, options }]
        : options.presets.map((preset) => ({ kind, preset, threads, options })),
    ),
  );
}

async function* worksOf({ kind, preset, threads, options }: Job): AsyncGenerator<Work> {
  const peersFolder = options.peers ? options.peersFolder : undefined;
  const { trainSize, trainBatch, size, device, torch, names } = options;
  const isWanted = ({ name }: { name: string }): boolean => names?.includes(name) ?? true;
  switch (kind) {
    case "kernels":
      for (const row of KERNELS.filter(isWanted)) yield await kernelWork(row, { peersFolder, threads, device });
      for (const row of GRADIENTS.filter(isWanted))
        yield gradientWork(row, { device: options.peers ? device : undefined });
      return;
    case "infer":
      yield inferWork({ preset: preset!, size, threads, peersFolder });
      return;
    case "train":
      yield trainWork({ preset: preset!, size: trainSize, batch: trainBatch, threads, torch });
      return;
    case "start":
      return;
    default:
      kind satisfies never;
  }
}

/** Measures all works of a job, handing over each as it is done. @throws BenchError, DeviceError */
export async function runJob(job: Job, onMeasured: (measured: Measured) => Promise<void>): Promise<void> {
  const { threads, options } = job;
  const { device, wide, seconds, rounds } = options;
  if (job.kind === "start") {
    const rows = await firstDetections({ ...options, threads });
    for (const name of new Set(rows.map((row) => row.name)))
      await onMeasured({ rows: rows.filter((row) => row.name === name), notRun: [] });
  }
  for await (const work of worksOf(job)) {
    const backend = await resolveBackend(device, { threads, wide });
    const measured = await measure(work, { backend, threads, seconds, rounds });
    await onMeasured(options.profile ? await withProfile(measured, { work, backend, job }) : measured);
    backend.dispose();
  }
}
