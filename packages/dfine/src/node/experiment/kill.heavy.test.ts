import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as later } from "node:timers/promises";
import { Random } from "@dfine/tensor";
import { afterAll, beforeAll, expect, test } from "vitest";
import { command, notBuilt } from "../../../test/builtCommand.ts";
import { tinyModel } from "../../../test/tinyModel.ts";
import { stringify } from "../../config/yaml.ts";
import { makeDigits } from "../demo/digits.ts";
import type { RowResult } from "./results.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-experiment-kill-"));
  await makeDigits({ folder: join(folder, "digits"), train: 8, val: 2, size: 96 });
  const { classes: _, evalSize, ...model } = tinyModel();
  const base = {
    ...{ preset: "n", model: { ...model, evalSize } },
    train: { epochs: 3, batch: 2, saveEvery: 2, augmentation: { stopEpoch: 2, baseSizeRepeat: null } },
  };
  const rows = {
    fdr: { label: "FDR", patch: {} },
    deltas: { label: "deltas", patch: { model: { decoder: { boxHead: "delta" } } } },
  };
  await writeFile(join(folder, "mine.yaml"), stringify({ title: "mine", source: "none", base, rows }));
});
afterAll(() => rm(folder, { recursive: true }));

function start(name: string): ChildProcess {
  const options = ["--seeds", "2", "--threads", "1", "--workers", "0", "--no-latency", "--out", folder, "--name", name];
  const words = ["experiment", join(folder, "mine.yaml"), "--data", join(folder, "digits/data.yaml"), ...options];
  return spawn(process.execPath, [command, ...words], { stdio: "ignore" });
}

const ended = (child: ChildProcess): Promise<number | null> => new Promise((resolve) => child.on("exit", resolve));

/** What of a table does not depend on the clock or on which process held how much memory. */
async function tableOf(name: string): Promise<object[]> {
  const { rows } = JSON.parse(await readFile(join(folder, "experiment", name, "table.json"), "utf8"));
  return rows.map(({ secondsPerEpoch: _, peakBytes: __, ...row }: RowResult) => row);
}

test("killed at three random moments, an experiment comes to the same table", async () => {
  expect(notBuilt).toBeUndefined();
  const begun = performance.now();
  expect(await ended(start("whole"))).toBe(0);
  const whole = performance.now() - begun;
  const random = new Random(Math.floor(performance.now()));
  let kills = 0;
  for (let i = 0; i < 3; i++) {
    const child = start("killed");
    const end = ended(child);
    await Promise.race([end, later(whole * (0.25 + 0.25 * random.uniform()))]);
    if (child.kill("SIGKILL")) kills++;
    await end;
  }
  expect(kills).toBeGreaterThan(0);
  expect(await ended(start("killed"))).toBe(0);
  expect(await tableOf("killed")).toEqual(await tableOf("whole"));
});
