import { execFile } from "node:child_process";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-examples-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function run(example: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(import.meta.dirname, example), ...args], {
    cwd: folder,
  });
  return stdout;
}

// In this order: the second needs the weights that the first writes.
test("train-on-a-folder draws digits, learns, evaluates and saves", async () => {
  const printed = await run("train-on-a-folder/train.ts", "--steps", "2");
  expect(printed).toMatch(/^step 1: loss \d+\.\d\d, .*\nstep 2: loss \d+\.\d\d, .*\nAP {4}Average Precision/);
  expect(printed).toMatch(/wrote trained\.safetensors\n$/);
});

test("train-on-a-folder takes a data.yaml", async () => {
  expect(await run("train-on-a-folder/train.ts", "digits/data.yaml", "--steps", "1")).toMatch(/^step 1: loss/);
});

test("detect-in-node prints objects and draws them", async () => {
  const printed = await run("detect-in-node/detect.ts", "trained.safetensors", "digits/images/val/00000.png");
  for (const line of printed.trim().split("\n").filter(Boolean))
    expect(line).toMatch(/^digits\/images\/val\/00000\.png: \d \d\.\d\d at [\d. ]+$/);
  expect((await stat(join(folder, "found-00000.png"))).size).toBeGreaterThan(0);
  await expect(run("detect-in-node/detect.ts")).rejects.toThrow("usage: node detect.ts WEIGHTS IMAGES…");
});
