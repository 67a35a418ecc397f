import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { says, thrown } from "../../test/badInput.ts";
import { createRunFolder, makeFolder, openRunFolder, planRunFolder, RunFolderError } from "./runFolder.ts";
import { logEvent, logRow, openLogs, type ResultsRow, readEvents } from "./runLog.ts";

const root = mkdtempSync(join(tmpdir(), "dfine-run-"));
afterAll(() => rmSync(root, { recursive: true }));
const out = () => mkdtempSync(join(root, "out-"));

test("runs are numbered and never share a folder, even when they start together: [run-exists]", async () => {
  const at = out();
  const runs = await Promise.all(Array.from({ length: 5 }, () => createRunFolder(at, "train", "digits")));
  expect(runs.map(({ path }) => basename(path)).sort()).toEqual(["digits", "digits2", "digits3", "digits4", "digits5"]);
  expect(readdirSync(runs[0]!.path)).toEqual([]);
});

test.each(["", "..", "a/b", "a b", "C:x"])("a name that is no folder name is refused: %j", async (name) => {
  const error = await thrown(() => planRunFolder(out(), "train", name));
  expect(error).toBeInstanceOf(RunFolderError);
  says("run-name", error);
});

test("a place where no folder can be made is named, before any is made", async () => {
  const at = out();
  writeFileSync(join(at, "file"), "");
  symlinkSync(join(at, "none"), join(at, "link"));
  for (const place of [join(at, "file"), join(at, "file", "deeper"), join(at, "a\0b"), join(at, "link")])
    says("run-folder-impossible", await thrown(() => createRunFolder(place, "train", "x")));
  await planRunFolder(join(at, "new", "newer"), "train", "x");
  expect(readdirSync(at).sort()).toEqual(["file", "link"]);
  await createRunFolder(join(at, "new", "newer"), "train", "x");
  expect(existsSync(join(at, "new", "newer", "train", "x"))).toBe(true);
});

// Node's own recursive mkdir never comes back there.
test.runIf(existsSync("/proc/self"))("a place where the system makes none is named", async () => {
  says("run-folder-impossible", await thrown(() => createRunFolder("/proc/nope", "train", "x")));
});

test("a run goes on only with its configuration, data and state", async () => {
  const run = await createRunFolder(out(), "train", "x");
  says("run-missing", await thrown(() => openRunFolder(join(run.path, "none"))));
  says("run-spelling", await thrown(() => openRunFolder(join(dirname(run.path), "X"))));
  says("run-incomplete", await thrown(() => openRunFolder(run.path)));
  await makeFolder(dirname(run.state));
  for (const file of [run.config, run.data, run.state]) writeFileSync(file, "");
  expect(await openRunFolder(run.path)).toEqual(run);
});

const row = (epoch: number): ResultsRow => ({ epoch, loss: 0.5, AP: 0.5 });

test("a resumed run takes back what it will repeat, and a torn line", async () => {
  const run = await createRunFolder(out(), "train", "x");
  await openLogs(run);
  for (let step = 1; step <= 6; step++) {
    await logEvent(run, { kind: "step", epoch: Math.ceil(step / 2), step });
    if (step % 2 === 0) {
      await logEvent(run, { kind: "epoch", epoch: step / 2, step });
      await logRow(run, row(step / 2));
    }
  }
  await appendFile(run.events, '{"kind":"st');
  await openLogs(run, { epoch: 1, step: 3 });
  expect((await readEvents(run.events)).map(({ kind, step }) => `${kind} ${step}`)).toEqual([
    "step 1",
    "step 2",
    "epoch 2",
    "step 3",
  ]);
  const lines = readFileSync(run.results, "utf8").trimEnd().split("\n");
  expect(lines.map((line) => line.split(",")[0])).toEqual(["epoch", "1"]);
  expect(lines[0]!.split(",").length).toBe(lines[1]!.split(",").length);
});

test("epochs of a log that counts them from 0 are counted from 1, also where the run goes on", async () => {
  const run = await createRunFolder(out(), "train", "x");
  const lines = [
    { kind: "step", epoch: 0, step: 1 },
    { kind: "epoch", epoch: 0, step: 1 },
    { kind: "step", epoch: 1, step: 2 },
    { kind: "epoch", epoch: 1, step: 2 },
    { kind: "step", epoch: 2, step: 3 },
  ];
  writeFileSync(run.events, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const counted = lines.map((line) => ({ ...line, epoch: line.epoch + 1 }));
  expect(await readEvents(run.events)).toEqual(counted);
  await openLogs(run, { epoch: 1, step: 2 });
  expect(await readEvents(run.events)).toEqual(counted.slice(0, 3));
  await logEvent(run, { kind: "epoch", epoch: 2, step: 2 });
  expect(await readEvents(run.events)).toEqual([...counted.slice(0, 3), { kind: "epoch", epoch: 2, step: 2 }]);
});
