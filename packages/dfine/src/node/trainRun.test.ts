import { mkdtempSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Backend, DeviceLostError } from "@dfine/tensor";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { experimentIn, timeless } from "../../test/experiment.ts";
import { type LosableBackend, losableBackend } from "../../test/losableBackend.ts";
import { tinyConfig } from "../../test/tinyTraining.ts";
import { resolveBackend } from "../device.ts";
import { Trainer } from "../train/trainer.ts";
import { runTerminal } from "./cli/runTerminal.ts";
import { Terminal } from "./cli/terminal.ts";
import { type DigitsDataset, makeDigits } from "./demo/digits.ts";
import type { EstimateEvent, RunEvent } from "./runEvents.ts";
import { createRunFolder, type RunFolder } from "./runFolder.ts";
import { readEvents } from "./runLog.ts";
import { runTraining } from "./trainRun.ts";

const folder = mkdtempSync(join(tmpdir(), "dfine-train-run-"));
let inner: Backend;
let digits: DigitsDataset;
let classes: string[];
beforeAll(async () => {
  inner = await resolveBackend("cpu", { threads: 1 });
  digits = await makeDigits({ folder: join(folder, "digits"), train: 6, val: 2, size: 96 });
  classes = digits.train.dataset.categories.map(({ name }) => name);
});
afterAll(async () => {
  inner.dispose();
  await rm(folder, { recursive: true });
});

interface Ran {
  readonly run: RunFolder;
  readonly said: string;
  readonly failure?: unknown;
}

/** Six steps in two epochs. `lose` is told of each device how many there were before it. */
async function run(name: string, lose: (device: LosableBackend, before: number) => void): Promise<Ran> {
  let made = 0;
  const next = () => {
    const device = losableBackend(inner);
    lose(device, made++);
    return device;
  };
  const config = tinyConfig((c) => {
    Object.assign(c.model, { classes });
    Object.assign(c.train, { snapshotEvery: 2 });
  });
  using trainer = await Trainer.create({ config, backend: next(), reviveBackend: async () => next() });
  let said = "";
  const sink = { write: (text: string) => (said += text) };
  const terminal = new Terminal({ json: true, quiet: false }, { out: sink, err: sink, color: false });
  const run = await createRunFolder(folder, "train", name);
  const { train, val } = digits;
  const failure = await runTraining({
    trainer,
    run: () => run,
    train,
    val,
    onEvent: runTerminal(terminal, 2),
    title: name,
    workers: 0,
  }).then(
    () => undefined,
    (error: unknown) => error,
  );
  return { run, said, failure };
}

const steps = async ({ run }: Ran) => (await readEvents(run.events)).filter(({ kind }) => kind === "step");

let whole: Ran;
/** A moment in the second epoch. */
let late: number;
beforeAll(async () => {
  let device: LosableBackend | undefined;
  whole = await run("whole", (made) => {
    device = made;
  });
  late = Math.floor(device!.calls * 0.7);
});

test("a lost device is said and logged, and otherwise leaves the same log and weights", async () => {
  const lost = await run("lost", (device, before) => before === 0 && device.loseAt(late));
  expect([whole.failure, lost.failure]).toEqual([undefined, undefined]);
  expect(timeless(await steps(lost))).toEqual(timeless(await steps(whole)));
  const recovery = (await readEvents(lost.run.events)).filter(({ kind }) => kind === "recovery");
  expect(recovery).toHaveLength(1);
  const { step, lostAt, reason } = recovery[0]!;
  expect(lost.said).toContain(
    `warning: the device was lost after step ${lostAt}; going on after step ${step} on a new one (${reason})\n`,
  );
  expect(lost.said).toContain(`{"kind":"recovery","epoch":2,"step":${step},"lostAt":${lostAt},"reason":"${reason}"}\n`);
  for (const file of ["state", "best"] as const)
    expect((await readFile(lost.run[file])).equals(await readFile(whole.run[file]))).toBe(true);
});

const experiment = (name: string, backend: Backend, seed = 0) => experimentIn(folder, { name, backend, seed, digits });

test("a run needs no terminal: everything is told to a sink, once it is on the disk", async () => {
  const output = [vi.spyOn(process.stdout, "write"), vi.spyOn(process.stderr, "write")];
  const { told, report } = await experiment("sink", inner);
  for (const stream of output) expect(stream).not.toHaveBeenCalled();
  vi.restoreAllMocks();
  const steps = ["step", "step", "step", "epoch"];
  expect(told.map(({ kind }) => kind)).toEqual(["started", ...steps, ...steps]);
  expect(report).toContain("<h1><bdi>sink</bdi></h1>");
});

test("before a run of some length it is said what it will take", async () => {
  const config = tinyConfig((c) => {
    Object.assign(c.model, { classes });
    Object.assign(c.train, { epochs: 100 });
  });
  using trainer = await Trainer.create({ config, backend: inner });
  const stop = new AbortController();
  const told: RunEvent[] = [];
  const { interrupted } = await runTraining({
    ...{ trainer, train: digits.train, title: "x", signal: stop.signal, workers: 0 },
    run: () => createRunFolder(folder, "train", "estimated"),
    onEvent: (event) => {
      told.push(event);
      if (event.kind === "estimate") stop.abort();
    },
  });
  expect(interrupted).toBe(true);
  expect(told.map(({ kind }) => kind)).toEqual(["started", "estimate", "step"]);
  const estimate = told[1] as EstimateEvent;
  expect(estimate.steps).toBe(300);
  expect(estimate.secondsPerStep).toBeGreaterThan(0);
  expect(estimate.bytes).toBeGreaterThan(0);
});

test("what can be refused is refused before the folder is made", async () => {
  const config = tinyConfig((c) => {
    Object.assign(c.model, { classes });
    Object.assign(c.train, { batch: 7 });
  });
  using trainer = await Trainer.create({ config, backend: inner });
  const run = vi.fn<() => RunFolder>();
  await expect(runTraining({ trainer, run, train: digits.train, title: "x" })).rejects.toThrow("do not fill one batch");
  expect(run).not.toHaveBeenCalled();
});

test("two runs after each other, and two beside each other on two backends, are the same runs", async () => {
  const after = [await experiment("first", inner, 1), await experiment("second", inner, 2)];
  const other = await resolveBackend("cpu", { threads: 2, wide: false });
  try {
    const beside = await Promise.all([experiment("left", inner, 1), experiment("right", other, 2)]);
    for (const [i, { state, best, log }] of beside.entries()) {
      expect(state.equals(after[i]!.state)).toBe(true);
      expect(best.equals(after[i]!.best)).toBe(true);
      expect(timeless(log)).toEqual(timeless(after[i]!.log));
    }
  } finally {
    other.dispose();
  }
});

test("when no device lasts, what the last snapshot has is saved", async () => {
  const { failure, run: ran } = await run("stopped", (device, before) => device.loseAt(before === 0 ? late : 0));
  expect(failure).toBeInstanceOf(DeviceLostError);
  expect((failure as Error).message).toContain("3 times in a row");
  const options = { config: tinyConfig((c) => Object.assign(c.model, { classes })), backend: inner };
  using again = await Trainer.restore(await readFile(ran.state), options);
  expect(again.progress.step).toBeGreaterThanOrEqual(3);
});
