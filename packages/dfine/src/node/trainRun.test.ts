import { mkdtempSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Backend, DeviceLostError } from "@dfine/tensor";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type LosableBackend, losableBackend } from "../../test/losableBackend.ts";
import { tinyConfig } from "../../test/tinyTraining.ts";
import { resolveBackend } from "../device.ts";
import { Trainer } from "../train/trainer.ts";
import { Terminal } from "./cli/terminal.ts";
import { type DigitsDataset, makeDigits } from "./demo/digits.ts";
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
  const interrupt = { requested: false, signal: new AbortController().signal, [Symbol.dispose]() {} };
  const { train, val } = digits;
  const failure = await runTraining({ trainer, run, train, val, terminal, interrupt, title: name }).then(
    () => undefined,
    (error: unknown) => error,
  );
  return { run, said, failure };
}

const steps = async ({ run }: Ran) => (await readEvents(run.events)).filter(({ kind }) => kind === "step");
const timeless = (lines: readonly object[]) => lines.map((line) => ({ ...line, seconds: 0 }));

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
  expect(lost.said).toContain(`{"kind":"recovery","epoch":1,"step":${step},"lostAt":${lostAt},"reason":"${reason}"}\n`);
  for (const file of ["state", "best"] as const)
    expect((await readFile(lost.run[file])).equals(await readFile(whole.run[file]))).toBe(true);
});

test("when no device lasts, what the last snapshot has is saved", async () => {
  const { failure, run: ran } = await run("stopped", (device, before) => device.loseAt(before === 0 ? late : 0));
  expect(failure).toBeInstanceOf(DeviceLostError);
  expect((failure as Error).message).toContain("3 times in a row");
  const options = { config: tinyConfig((c) => Object.assign(c.model, { classes })), backend: inner };
  using again = await Trainer.restore(await readFile(ran.state), options);
  expect(again.progress.step).toBeGreaterThanOrEqual(3);
});
