import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { RunFolderError } from "./runFolder.ts";
import { lockRun } from "./runLock.ts";

const root = mkdtempSync(join(tmpdir(), "dfine-lock-"));
afterAll(() => rmSync(root, { recursive: true }));
function folder() {
  const path = mkdtempSync(join(root, "run-"));
  return { path, lock: join(path, "run.lock") };
}

/** The number of a process that has ended. */
async function endedProcess(): Promise<number> {
  const child = spawn(process.execPath, ["-e", ""]);
  await new Promise((resolve) => child.on("exit", resolve));
  return child.pid!;
}

test("one at a time; the next may come when the first is done", async () => {
  const run = folder();
  const first = await lockRun(run);
  const error = await thrown(() => lockRun(run));
  expect(error).toBeInstanceOf(RunFolderError);
  says("run-locked", error);
  await first.release();
  expect(existsSync(run.lock)).toBe(false);
  await (await lockRun(run)).release();
});

test("of many at the same moment one gets it, also where an ended process had it", async () => {
  const pid = await endedProcess();
  for (const before of [undefined, JSON.stringify({ pid, host: hostname(), began: "1" })]) {
    const run = folder();
    if (before) writeFileSync(run.lock, before);
    const found = await Promise.allSettled(Array.from({ length: 6 }, () => lockRun(run)));
    expect(found.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  }
});

test("of a process that has ended is taken over, which is said; so is one that says nothing", async () => {
  const own = JSON.parse(readFileSync((await locked()).lock, "utf8")) as object;
  for (const left of [
    JSON.stringify({ ...own, pid: await endedProcess() }),
    // Another process has been given its number since.
    ...(existsSync("/proc/self/stat") ? [JSON.stringify({ ...own, began: "1" })] : []),
    "",
    "{",
  ]) {
    const run = folder();
    writeFileSync(run.lock, left);
    const { note, release } = await lockRun(run);
    says("run-lock-stale", note);
    await release();
  }
});

test("of a process on another machine is left alone, since nobody here knows whether it runs", async () => {
  const run = folder();
  writeFileSync(run.lock, JSON.stringify({ pid: await endedProcess(), host: "elsewhere", began: "" }));
  says("run-locked", await thrown(() => lockRun(run)));
});

async function locked() {
  const run = folder();
  await lockRun(run);
  return run;
}
