import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCommand } from "../../../test/runCommand.ts";
import { inRun, tinyTrain } from "../../../test/tinyRun.ts";
import { makeDigits } from "../demo/digits.ts";

let folder = "";
let data = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-train-options-"));
  data = (await makeDigits({ folder: join(folder, "digits"), train: 6, val: 2, size: 96 })).dataYaml;
});
afterAll(() => rm(folder, { recursive: true }));

const train = (name: string, ...options: string[]) =>
  runCommand(...tinyTrain({ data, out: folder, name }), "--steps", "1", ...options);
const config = (name: string) => readFileSync(inRun(folder, name, "config.yaml"), "utf8");

test("--preview writes a sheet of images, and no run", async () => {
  const sheet = join(folder, "sheet.png");
  const { code, out } = await train("preview", "--preview", sheet, "model.resize=letterbox");
  expect([code, out]).toEqual([0, `preview: ${sheet}\n`]);
  // Six images of 96 x 96 at 320 x 320, in rows of three with 4 pixels between them.
  const { width, height } = await sharp(sheet).metadata();
  expect([width, height]).toEqual([968, 644]);
  expect(existsSync(inRun(folder, "preview"))).toBe(false);
});

test("--workers and --cache change nothing but how images are prepared, which is said", async () => {
  const first = await train("none", "--workers", "0", "--cache", "0");
  const second = await train("two", "--workers", "2", "--cache", "4");
  expect([first.code, second.code]).toEqual([0, 0]);
  expect(first.err).toMatch(/images are prepared on the main thread, 2 batches ahead \(up to 1 MB\); up to 0 MB/);
  expect(second.err).toMatch(/images are prepared in 2 threads, 3 batches ahead .*; up to 4 MB/);
  const weights = (name: string) => readFileSync(inRun(folder, name, "weights", "last.safetensors"));
  expect(weights("two").equals(weights("none"))).toBe(true);
});

test("--config is laid under options and overrides; task and recipe choose the numbers", async () => {
  const file = join(folder, "own.yaml");
  writeFileSync(file, "task: voc\ntrain: { batch: 3, epochs: 9, seed: 4, ema: { decay: 0.5 } }\n");
  expect((await train("file", "--config", file)).code).toBe(0);
  expect(config("file")).toMatch(/^task: voc$[\s\S]*^ {2}epochs: 2$[\s\S]*^ {2}batch: 2$[\s\S]*^ {2}seed: 4$/m);
  expect((await train("task", "--config", file, "--task", "crowdhuman")).code).toBe(0);
  expect(config("task")).toMatch(/^task: crowdhuman$/m);
  const paper = await train("paper", "--recipe", "paper");
  expect([paper.code, paper.err]).toEqual([2, expect.stringMatching(/the paper does not train n for task custom/)]);
  writeFileSync(file, "train: { batches: 3 }\n");
  const wrong = await train("wrong", "--config", file);
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringMatching(/unknown key "train\.batches"/)]);
});

test("--batch auto takes what fits, and says it", async () => {
  const args = tinyTrain({ data, out: folder, name: "auto" });
  const at = args.indexOf("--batch");
  args[at + 1] = "auto";
  const { code, err } = await runCommand(
    ...args,
    "--steps",
    "1",
    "--memory",
    "300",
    "augmentation.baseSizeRepeat=null",
  );
  expect(code).toBe(0);
  const [, batch] = /a step with (\d) images? takes \d+ MB, of 300 MB that it may take/.exec(err) ?? [];
  expect(config("auto")).toContain(`\n  batch: ${batch}\n`);
  const parts = await runCommand(...args, "train.accumulate=2");
  expect([parts.code, parts.err]).toEqual([2, expect.stringMatching(/leave accumulate out/)]);
  expect((await train("limit", "--memory", "300")).err).toMatch(/--memory is the limit of --batch auto/);
});

test("weights of a whole model and of a backbone exclude each other", async () => {
  const { code, err } = await train("both", "--weights", "a", "--backbone", "b");
  expect([code, err]).toEqual([2, expect.stringMatching(/give either --weights or --backbone/)]);
});

test("an input too small for the model is refused before a run folder is made", async () => {
  const { code, err } = await runCommand("train", "--data", data, "--size", "160", "--out", folder, "--name", "small");
  expect(code).toBe(2);
  expect(err).toContain("160x160 gives 125 tokens for 300 queries; use at least 256x256");
  expect(existsSync(inRun(folder, "small"))).toBe(false);
});
