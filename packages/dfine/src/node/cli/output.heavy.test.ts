import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { says } from "../../../test/badInput.ts";
import { command, notBuilt } from "../../../test/builtCommand.ts";
import { inRun, tinyTrain } from "../../../test/tinyRun.ts";
import { makeDigits } from "../demo/digits.ts";

let folder = "";
let data = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-output-"));
  ({ dataYaml: data } = await makeDigits({ folder: join(folder, "digits"), train: 6, val: 3, size: 96 }));
  expect((await dfine(["info"])).code).toBe(0);
  expect((await dfine(train("whole"))).code).toBe(0);
});
afterAll(() => rm(folder, { recursive: true }));

const train = (name: string) => [...tinyTrain({ data, out: folder, name }), "--epochs", "1", "--workers", "1"];

type Stream = "stdout" | "stderr";

/** Runs the command; of the streams in `closed` nothing is read, and their pipes are closed at once. */
async function dfine(argv: readonly string[], closed: readonly Stream[] = []) {
  const child = spawn(process.execPath, [command, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    if (closed.includes(name)) child[name].destroy();
    else child[name].on("data", (text) => (said[name] += String(text)));
  }
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, ...said };
}

/** Commands that say much, and the files that each leaves. */
const commands = (name: string): Record<string, { argv: string[]; files: string[] }> => {
  const weights = ["--weights", inRun(folder, "whole"), "--threads", "1", "--out", folder, "--name", name];
  return {
    info: { argv: ["info", "--model", "x"], files: [] },
    help: { argv: ["train", "--help"], files: [] },
    train: {
      argv: train(name),
      files: ["train/last.safetensors", "train/report.html", "train/results.csv"],
    },
    val: { argv: ["val", "--data", data, ...weights], files: ["val/detections.json", "val/report.html"] },
    predict: {
      argv: ["predict", join(folder, "digits/images/val"), ...weights, "--threshold", "0"],
      files: ["predict/predictions.json", "predict/report.html", "predict/00002.png"],
    },
  };
};

describe("a command whose output nobody reads", () => {
  beforeEach((context) => {
    if (notBuilt) context.skip(notBuilt);
  });
  test.each(
    (["info", "help", "train", "val", "predict"] as const).flatMap((name) =>
      ([["stdout"], ["stderr"], ["stdout", "stderr"]] as const).map((closed) => ({ name, closed })),
    ),
  )("$name, closed: $closed [cli-output-closed]", async ({ name, closed }) => {
    const run = `${name}-${closed.join("-")}`;
    const { argv, files } = commands(run)[name]!;
    const { code, stdout, stderr } = await dfine(argv, closed);
    expect(stdout + stderr).not.toMatch(/\bat .*:\d+:\d+|Unhandled|EPIPE/);
    expect(code).toBe(0);
    const left = files.map((file) => file.replace("/", `/${run}/`).replace("last.", "weights/last."));
    expect(left.filter((file) => !existsSync(join(folder, file)))).toEqual([]);
  });

  test.skipIf(!existsSync("/dev/full"))("on a full disk it ends with 1, and says why", async () => {
    const argv = [command, "info", "--json"].map((part) => `'${part}'`).join(" ");
    const child = spawn("sh", ["-c", `exec '${process.execPath}' ${argv} > /dev/full`], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (text) => (said += String(text)));
    expect(await new Promise((resolve) => child.on("close", resolve))).toBe(1);
    says("cli-output-full", said);
  });
});
