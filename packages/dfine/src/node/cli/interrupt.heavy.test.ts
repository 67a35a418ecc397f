import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, type TestContext, test, vi } from "vitest";
import { command, notBuilt } from "../../../test/builtCommand.ts";
import { inRun, tinyTrain } from "../../../test/tinyRun.ts";
import { makeDigits } from "../demo/digits.ts";

const CTRL_C = "\u0003";

let folder = "";
let data = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-terminal-"));
  ({ dataYaml: data } = await makeDigits({ folder: join(folder, "digits"), train: 6, val: 2, size: 96 }));
});
afterAll(() => rm(folder, { recursive: true }));

/** What `script` of util-linux needs; where it is missing there is no terminal to be had. */
function needTerminal(context: TestContext): void {
  const { stdout, error } = spawnSync("script", ["--version"], { encoding: "utf8" });
  if (error || !stdout.includes("util-linux")) context.skip("not run: no script command of util-linux");
  if (notBuilt) context.skip(notBuilt);
}

/** Runs `dfine` in a terminal of its own, whose keyboard `type` is. */
function inTerminal(argv: readonly string[]) {
  const quoted = [process.execPath, command, ...argv].map((part) => `'${part.replaceAll("'", "'\\''")}'`).join(" ");
  const child = spawn("script", ["--quiet", "--return", "--flush", "--command", `exec ${quoted}`, "/dev/null"], {
    env: { ...process.env, TERM: "xterm" },
  });
  const shown = { text: "" };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (shown.text += String(chunk)));
  const exit = new Promise<number | null>((resolve) => child.on("exit", (code) => resolve(code)));
  return { shown, exit, type: (text: string) => child.stdin.write(text), stop: () => child.kill() };
}

const dfine = (...argv: string[]) => spawnSync(process.execPath, [command, ...argv], { encoding: "utf8" });
const stepsOf = (name: string): number => {
  const path = inRun(folder, name, "events.jsonl");
  return existsSync(path) ? readFileSync(path, "utf8").split('"kind":"step"').length - 1 : 0;
};
const state = (name: string) => readFileSync(inRun(folder, name, "weights", "state.safetensors"));
const train = (name: string) => [...tinyTrain({ data, out: folder, name }), "--epochs", "1000", "--workers", "1"];

test("Ctrl-C at a terminal ends training after its step with 130, and it goes on with the same bits", async (context) => {
  needTerminal(context);
  const { shown, exit, type, stop } = inTerminal(train("pressed"));
  try {
    await vi.waitUntil(() => stepsOf("pressed") > 4, { timeout: 60_000, interval: 10 });
    type(CTRL_C);
    expect(await exit).toBe(130);
  } finally {
    stop();
  }
  // Progress is redrawn in place, as only a terminal can.
  expect(shown.text).toContain("\r\u001b[K");
  expect(shown.text).toContain("stopping after this step");
  expect(shown.text).toContain(`dfine train --resume ${inRun(folder, "pressed")}`);

  const steps = String(stepsOf("pressed") + 2);
  expect(dfine("train", "--resume", inRun(folder, "pressed"), "--threads", "1", "--steps", steps).status).toBe(0);
  expect(dfine(...train("whole"), "--steps", steps).status).toBe(0);
  expect(state("pressed").equals(state("whole"))).toBe(true);
});

test("a second Ctrl-C ends it at once", async (context) => {
  needTerminal(context);
  const { exit, type, stop } = inTerminal(train("twice"));
  try {
    await vi.waitUntil(() => stepsOf("twice") > 0, { timeout: 60_000, interval: 10 });
    type(CTRL_C + CTRL_C);
    expect(await exit).toBe(130);
  } finally {
    stop();
  }
});
