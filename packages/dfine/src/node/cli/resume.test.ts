import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { says } from "../../../test/badInput.ts";
import { runCommand } from "../../../test/runCommand.ts";
import { inRun, tinyResume, tinyTrain } from "../../../test/tinyRun.ts";
import { makeDigits } from "../demo/digits.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-resume-"));
  await makeDigits({ folder: join(folder, "digits"), train: 6, val: 2, size: 96 });
});
afterAll(() => rm(folder, { recursive: true }));

interface Coco {
  images: { id: number }[];
  annotations: { image_id: number; category_id: number; iscrowd: number }[];
  categories: { id: number; name: string }[];
}

/** A copy of the digits whose annotations of one part are changed. */
async function changed(name: string, part: "train" | "val", change: (json: Coco) => void): Promise<string> {
  if (!existsSync(join(folder, name))) await cp(join(folder, "digits"), join(folder, name), { recursive: true });
  const path = join(folder, name, "annotations", `${part}.json`);
  const json = JSON.parse(readFileSync(path, "utf8")) as Coco;
  change(json);
  writeFileSync(path, JSON.stringify(json));
  return name;
}

const train = (name: string, ...options: string[]) =>
  runCommand(...tinyTrain({ data: join(folder, name, "data.yaml"), out: folder, name }), "--quiet", ...options);
const resume = (name: string, ...options: string[]) => runCommand(...tinyResume(folder, name), "--quiet", ...options);
const read = (name: string, ...parts: string[]) => readFileSync(inRun(folder, name, ...parts));
const contents = (name: string) =>
  ["config.yaml", "results.csv", "events.jsonl", "report.html"].map((file) => read(name, file).toString());

describe("a run that goes on with other data", () => {
  test("of other categories is refused, and its folder is as it was", async () => {
    const name = await changed("categories", "train", () => {});
    expect((await train(name, "--steps", "4")).code).toBe(0);
    const before = contents(name);
    for (const part of ["train", "val"] as const)
      await changed(name, part, ({ categories }) => {
        categories[3]!.name = "dog";
      });
    const { code, err } = await resume(name);
    expect(code).toBe(1);
    says("cli-resume-categories", err);
    expect(contents(name)).toEqual(before);
  });

  test("of fewer images is refused inside an epoch, and its weights begin another run", async () => {
    const name = await changed("fewer", "train", () => {});
    expect((await train(name, "--steps", "2")).code).toBe(0);
    const fewer = (json: Coco) => {
      json.images = json.images.slice(0, 4);
      json.annotations = json.annotations.filter((one) => json.images.some(({ id }) => id === one.image_id));
    };
    await changed(name, "train", fewer);
    const { code, err } = await resume(name);
    expect(code).toBe(1);
    says("cli-resume-images", err);
    expect((await train(name, "--steps", "1", "--weights", inRun(folder, name))).code).toBe(0);
  });

  test("of fewer images goes on after an epoch, with the epochs counted", async () => {
    const name = await changed("between", "train", () => {});
    expect((await train(name, "--steps", "3")).code).toBe(0);
    await changed(name, "train", (json) => {
      json.images = json.images.slice(0, 4);
      json.annotations = json.annotations.filter((one) => json.images.some(({ id }) => id === one.image_id));
    });
    const { code, out, err } = await resume(name);
    expect(code).toBe(0);
    expect(err).toMatch(/warning: .*train\.json: epoch 2 goes on with 4 images and 2 steps an epoch/);
    expect(out).toMatch(/^epoch 2\/2 /);
    expect(out).not.toMatch(/epoch [13]\//);
  });
});

test("a run that is finished says so when it is resumed, and goes on with more epochs", async () => {
  const name = await changed("finished", "train", () => {});
  expect((await train(name)).code).toBe(0);
  const again = await resume(name);
  expect(again.code).toBe(0);
  says("resume-finished", again.err);
  const before = contents(name);
  says("resume-steps", (await resume(name, "--epochs", "3", "--steps", "5")).err);
  says("resume-fewer-epochs", (await resume(name, "--epochs", "1")).err);
  expect(contents(name)).toEqual(before);
  expect((await resume(name, "--epochs", "3")).out).toMatch(/^epoch 3\/3 /);
});

describe("best, where nothing is measured,", () => {
  test("is the last epoch, which is said", async () => {
    const name = await changed("crowds", "val", ({ annotations }) => {
      for (const one of annotations) one.iscrowd = 1;
    });
    const { code, out, err } = await train(name);
    expect(code).toBe(0);
    expect(read(name, "weights", "best.safetensors").equals(read(name, "weights", "last.safetensors"))).toBe(true);
    says("cli-val-no-boxes", err);
    says("cli-no-ap", err);
    expect(out).not.toContain("(best)");
  });
});

describe("refused before a run folder is made", () => {
  test("a batch that the data does not fill; without one it fits the data", async () => {
    const name = await changed("few", "train", () => {});
    const { code, err } = await train(name, "--batch", "7");
    expect(code).toBe(1);
    says("cli-batch-unfilled", err);
    expect(existsSync(inRun(folder, name))).toBe(false);

    const args = tinyTrain({ data: join(folder, name, "data.yaml"), out: folder, name });
    const at = args.indexOf("--batch");
    const { code: own, err: said } = await runCommand(...args.slice(0, at), ...args.slice(at + 2), "--steps", "1");
    expect(own).toBe(0);
    expect(said).toMatch(/batch 6 and learning rates .* made for four GPUs, and the data has 6 images/);
    expect(read(name, "config.yaml").toString()).toMatch(/^ {2}batch: 6$/m);
  });
});

describe("a run that stopped inside its first epoch", () => {
  test("has weights to use", async () => {
    const name = await changed("stopped", "train", () => {});
    const running = train(name, "--batch", "1", "--epochs", "1000");
    const events = inRun(folder, name, "events.jsonl");
    while (!(existsSync(events) && readFileSync(events).length > 0)) await new Promise((done) => setTimeout(done, 2));
    process.emit("SIGINT");
    expect((await running).code).toBe(130);
    const image = join(folder, "digits", "images", "val", "00000.png");
    const predict = () =>
      runCommand("predict", image, "--weights", inRun(folder, name), "--threads", "1", "--out", folder, "--quiet");
    if (!existsSync(inRun(folder, name, "weights", "best.safetensors"))) expect((await predict()).code).toBe(0);

    // As versions that saved the state alone left it.
    for (const file of ["last", "best"]) rmSync(inRun(folder, name, "weights", `${file}.safetensors`), { force: true });
    const { code, err } = await predict();
    expect(code).toBe(1);
    says("weights-state-only", err);
    renameSync(inRun(folder, name, "weights", "state.safetensors"), join(folder, "state.safetensors"));
    const given = await runCommand("info", join(folder, "state.safetensors"));
    expect(given.code).toBe(1);
    says("weights-state", given.err);
  });
});
