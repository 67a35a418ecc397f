import { type PresetName, resolveBackend } from "dfine";
import { GRADIENTS, gradientWork } from "./convGradients.ts";
import { inferWork } from "./infer.ts";
import { KERNELS, kernelWork } from "./kernels.ts";
import { type Measured, measure } from "./measure.ts";
import type { BenchOptions, Kind } from "./options.ts";
import { trainWork } from "./train.ts";
import type { Work } from "./work.ts";

/** What one process measures. */
export interface Job {
  readonly kind: Kind;
  /** None for kernels. */
  readonly preset?: PresetName;
  readonly threads: number;
  readonly options: BenchOptions;
}

/** What a process answers. */
export type Reply = { readonly measured: Measured } | { readonly failed: string };

/** Kernels by number of threads, then models: each in a process of its own, so that memory is that work's alone. */
export function jobsOf(options: BenchOptions): Job[] {
  return options.threads.flatMap((threads) =>
    options.only.flatMap((kind): Job[] =>
      kind === "kernels"
        ? [{ kind, threads, options }]
        : options.presets.map((preset) => ({ kind, preset, threads, options })),
    ),
  );
}

async function* worksOf({ kind, preset, threads, options }: Job): AsyncGenerator<Work> {
  const peersFolder = options.peers ? options.peersFolder : undefined;
  const { trainSize, trainBatch, size, device } = options;
  switch (kind) {
    case "kernels":
      for (const row of KERNELS) yield await kernelWork(row, { peersFolder, threads, device });
      for (const row of GRADIENTS) yield gradientWork(row, { withPeers: options.peers && device === "webgpu" });
      return;
    case "infer":
      yield inferWork({ preset: preset!, size, threads, peersFolder });
      return;
    case "train":
      yield trainWork({ preset: preset!, size: trainSize, batch: trainBatch });
      return;
    default:
      kind satisfies never;
  }
}

/** Measures all works of a job, handing over each as it is done. @throws BenchError, DeviceError */
export async function runJob(job: Job, onMeasured: (measured: Measured) => Promise<void>): Promise<void> {
  const { threads, options } = job;
  for await (const work of worksOf(job)) {
    const backend = await resolveBackend(options.device, { threads, wide: options.wide });
    await onMeasured(await measure(work, { backend, threads, seconds: options.seconds }));
    backend.dispose();
  }
}
