import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as later } from "node:timers/promises";
import { Random } from "@dfine/tensor";
import { afterAll, beforeAll, expect, test } from "vitest";
import { command, notBuilt } from "../../../test/builtCommand.ts";
import { timeless } from "../../../test/experiment.ts";
import { inRun, tinyResume, tinyTrain } from "../../../test/tinyRun.ts";
import { makeDigits } from "../demo/digits.ts";
import { readEvents } from "../runLog.ts";

/** Few, so that it is quick; DFINE_KILLS=30 npm test -- kill.heavy tries harder. */
const KILLS = Number(process.env.DFINE_KILLS ?? 4);
/** Of four steps each; stage 2 begins in the middle. */
const EPOCHS = 2 * Math.ceil(KILLS / 2);

let folder = "";
let data = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-kill-"));
  ({ dataYaml: data } = await makeDigits({ folder: join(folder, "digits"), train: 8, val: 2, size: 96 }));
});
afterAll(() => rm(folder, { recursive: true }));

const train = (name: string) => [
  ...tinyTrain({ data, out: folder, name }),
  ...["--epochs", String(EPOCHS), "--workers", "2", `stopEpoch=${EPOCHS / 2}`, "saveEvery=3", "--quiet"],
];
const resume = (name: string) => [...tinyResume(folder, name), ...["--workers", "2", "--quiet"]];
const weights = (name: string, file: string) => readFileSync(inRun(folder, name, "weights", `${file}.safetensors`));
const has = (name: string, ...path: string[]) => existsSync(inRun(folder, name, ...path));
const stepsIn = (name: string) =>
  has(name, "events.jsonl")
    ? readFileSync(inRun(folder, name, "events.jsonl"), "utf8").split('"kind":"step"').length
    : 0;
const isSaving = (name: string) =>
  has(name, "weights") && readdirSync(inRun(folder, name, "weights")).some((file) => file.endsWith(".tmp"));

const hasStage2 = (name: string) =>
  has(name, "events.jsonl") && readFileSync(inRun(folder, name, "events.jsonl"), "utf8").includes('"kind":"stage"');

/** When to kill: in the middle of a save, after so many steps and a moment, or at any time from the start on. */
const MOMENTS = [
  () => (name: string) => isSaving(name),
  (random: Random) => {
    const steps = 1 + random.integer(4);
    let from = Number.NaN;
    return (name: string) => {
      if (Number.isNaN(from)) from = stepsIn(name);
      return stepsIn(name) >= from + steps;
    };
  },
  (random: Random) => {
    const at = performance.now() + 3000 * random.uniform();
    return () => performance.now() > at;
  },
];

/** Kills the process at a moment that `random` chooses once `isTime`; false where it ended before. */
async function kill(
  child: ChildProcess,
  name: string,
  { random, isTime }: { random: Random; isTime: () => boolean },
): Promise<boolean> {
  const moment = MOMENTS[random.integer(MOMENTS.length)]!(random);
  const ended = new Promise<void>((resolve) => child.on("exit", () => resolve()));
  // The first save is what a run goes on from.
  while (child.exitCode === null && !(has(name, "weights", "state.safetensors") && isTime() && moment(name)))
    await later(1);
  await later(random.integer(3) === 0 ? 100 * random.uniform() : 0);
  const isKilled = child.exitCode === null && child.kill("SIGKILL");
  await ended;
  return isKilled;
}

test("a run killed at random moments, in both stages and while it saves, ends with the bits of one that was left alone", async (context) => {
  if (notBuilt) context.skip(notBuilt);
  const whole = spawnSync(process.execPath, [command, ...train("whole")], { encoding: "utf8" });
  expect([whole.status, whole.stderr]).toEqual([0, expect.any(String)]);

  const random = new Random(Number(process.env.DFINE_SEED ?? 1));
  const said: string[] = [];
  let [kills, inStage2, inSaves] = [0, 0, 0];
  for (let argv = train("killed"); ; argv = resume("killed")) {
    const child = spawn(process.execPath, [command, ...argv], { stdio: ["ignore", "ignore", "pipe"] });
    let err = "";
    child.stderr!.on("data", (chunk) => (err += String(chunk)));
    // Half of them in stage 2.
    const isTime = () => kills < KILLS / 2 || hasStage2("killed");
    const wasKilled = kills < KILLS && (await kill(child, "killed", { random, isTime }));
    if (!wasKilled && child.exitCode === null) await new Promise((resolve) => child.on("exit", resolve));
    said.push(err);
    if (!wasKilled) {
      expect([child.exitCode, err]).toEqual([0, expect.any(String)]);
      break;
    }
    kills++;
    inStage2 += hasStage2("killed") ? 1 : 0;
    inSaves += isSaving("killed") ? 1 : 0;
  }
  for (const line of said.join("").split("\n")) expect(line).not.toMatch(/^error/);
  for (const file of ["state", "last", "best", "stage1"])
    expect(weights("killed", file).equals(weights("whole", file)), file).toBe(true);
  const log = async (name: string) => timeless(await readEvents(inRun(folder, name, "events.jsonl")));
  expect(await log("killed")).toEqual(await log("whole"));
  const rows = (name: string) =>
    readFileSync(inRun(folder, name, "results.csv"), "utf8").replace(/^(\d+,\d+),\d+/gm, "$1");
  expect(rows("killed")).toBe(rows("whole"));
  expect(has("killed", "run.lock")).toBe(false);
  expect(isSaving("killed")).toBe(false);
  expect([kills > inStage2, inStage2 > 0]).toEqual([true, true]);
  if (process.env.DFINE_KILLS) console.log(`${kills} kills, ${inStage2} of them in stage 2, ${inSaves} during a save`);
});
