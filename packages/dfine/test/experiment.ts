import { readFile } from "node:fs/promises";
import type { Backend } from "@dfine/tensor";
import type { DigitsDataset } from "../src/node/demo/digits.ts";
import type { RunEvent } from "../src/node/runEvents.ts";
import { createRunFolder } from "../src/node/runFolder.ts";
import { type LogLine, readEvents } from "../src/node/runLog.ts";
import { runTraining } from "../src/node/trainRun.ts";
import { Trainer } from "../src/train/trainer.ts";
import { tinyConfig } from "./tinyTraining.ts";

/** What a run told, and what it left in its folder. */
export interface Experiment {
  readonly told: readonly RunEvent[];
  readonly state: Buffer;
  readonly best: Buffer;
  readonly report: string;
  readonly log: readonly LogLine[];
}

/** Trains a tiny model on digits in a run folder without a terminal, as an experiment in a program of one's own. */
export async function experimentIn(
  folder: string,
  { name, backend, seed, digits }: { name: string; backend: Backend; seed: number; digits: DigitsDataset },
): Promise<Experiment> {
  const config = tinyConfig((c) => {
    Object.assign(c.model, { classes: digits.train.dataset.categories.map((category) => category.name) });
    Object.assign(c.train, { seed });
  });
  using trainer = await Trainer.create({ config, backend });
  const told: RunEvent[] = [];
  const { run } = await runTraining({
    ...{ trainer, train: digits.train, val: digits.val, title: name, workers: 0 },
    run: () => createRunFolder(folder, "train", name),
    onEvent: (event) => told.push(event),
  });
  const report = await readFile(run.report, "utf8");
  return {
    told,
    state: await readFile(run.state),
    best: await readFile(run.best),
    report,
    log: await readEvents(run.events),
  };
}

/** The lines of a log without what depends on the clock. */
export const timeless = (lines: readonly object[]) => lines.map((line) => ({ ...line, seconds: 0 }));
