import { freemem } from "node:os";
import type { Backend } from "@dfine/tensor";
import { counted } from "../../describe.ts";
import { largestBatch } from "../../train/largestBatch.ts";
import { UsageError } from "./exit.ts";
import type { Terminal } from "./terminal.ts";
import { freshJob, type Job, type TrainValues } from "./trainJob.ts";

/** Of the memory that is free, what a run on the CPU may take: images and the rest of the program need some too. */
const SHARE = 0.75;

/** A new run with the largest batch that fits: into `memory` megabytes, or what the machine or its GPU has. */
export async function autoBatchJob(
  values: TrainValues & { readonly memory?: number },
  overrides: readonly string[],
  { backend, terminal }: { readonly backend: Backend; readonly terminal: Terminal },
): Promise<Job> {
  if (overrides.some((text) => /(^|\.)accumulate=/.test(text)))
    throw new UsageError("--batch auto finds what fits in one part; leave accumulate out, or give --batch a number");
  const { config, datasets } = await freshJob({ ...values, batch: 1 }, overrides);
  const { images, annotationsByImage } = datasets.train!.dataset;
  const isCpu = backend.name.startsWith("cpu");
  const free = isCpu ? Math.floor(SHARE * freemem()) : undefined;
  const limitBytes = values.memory === undefined ? free : values.memory * 2 ** 20;
  const boxes = images.reduce((most, { id }) => Math.max(most, annotationsByImage.get(id)!.length), 0);
  const { batch, bytes } = await largestBatch({
    ...{ config, backend, limitBytes, boxes, most: images.length },
    onTry: (tried, held) =>
      terminal.progress(
        `trying batches · ${tried} ${held === undefined ? "does not fit" : `takes ${megabytes(held)}`}`,
      ),
  });
  const job = await freshJob({ ...values, usualBatch: batch }, overrides);
  const within = limitBytes === undefined ? "" : `, of ${megabytes(limitBytes)} that it may take`;
  const note = `a step with ${counted(batch, "image")} takes ${megabytes(bytes)}${within}`;
  return { ...job, notes: [note, ...job.notes] };
}

/** In the unit of `--memory`. */
const megabytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MB`;
