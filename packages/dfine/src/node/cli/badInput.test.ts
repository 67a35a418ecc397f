import { existsSync, readdirSync, readFileSync, rmSync, statfsSync, truncateSync, writeFileSync } from "node:fs";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { says } from "../../../test/badInput.ts";
import { changedValue } from "../../../test/changedFile.ts";
import { runCommand } from "../../../test/runCommand.ts";
import { withSmallDisk } from "../../../test/smallDisk.ts";
import { inRun, tinyResume, tinyTrain } from "../../../test/tinyRun.ts";
import { makeDigits } from "../demo/digits.ts";

let folder = "";
/** A run that nothing disturbed. */
let whole: Buffer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-bad-"));
  await makeDigits({ folder: join(folder, "digits"), train: 6, val: 2, size: 96 });
  expect((await runCommand(...train("whole", "digits"), "--quiet")).code).toBe(0);
  whole = state(folder, "whole");
});
afterAll(() => rm(folder, { recursive: true }));

const train = (name: string, data: string, out = folder) =>
  tinyTrain({ data: join(folder, data, "data.yaml"), out, name });
const state = (out: string, name: string) => readFileSync(inRun(out, name, "weights", "state.safetensors"));
const resume = (out: string, name: string) => runCommand(...tinyResume(out, name), "--quiet");

/** A copy of the digits, some of whose files are cut short. */
async function damaged(name: string, files: readonly string[]): Promise<string> {
  await cp(join(folder, "digits"), join(folder, name), { recursive: true });
  for (const file of files) truncateSync(join(folder, name, "images", file), 300);
  return name;
}

describe("damaged images", () => {
  test("one of each part: training goes on, and says, logs and reports it", async () => {
    const data = await damaged("one", ["train/00002.png", "val/00001.png"]);
    const { code, err } = await runCommand(...train("one", data), "--quiet", "--max-pixels", "9216");
    expect(code).toBe(0);
    says("cli-image-left-out", err);
    says("cli-images-left-out", err);
    const events = readFileSync(inRun(folder, "one", "events.jsonl"), "utf8")
      .trimEnd()
      .split("\n");
    const left = events.map((line) => JSON.parse(line)).filter(({ kind }) => kind === "left out");
    expect(left.map(({ part, fileName }) => `${part} ${fileName}`).sort()).toEqual([
      "train 00002.png",
      "val 00001.png",
    ]);
    expect(readFileSync(inRun(folder, "one", "config.yaml"), "utf8")).toContain("maxPixels: 9216");
    expect(readFileSync(inRun(folder, "one", "report.html"), "utf8")).toContain("1 image of the validation data could");
  });

  test("too many: what was trained is saved, and goes on once they are mended, to the same bits", async () => {
    const data = await damaged("mended", []);
    expect((await runCommand(...train("mended", data), "--steps", "4", "--quiet")).code).toBe(0);
    const files = ["00000.png", "00001.png", "00003.png", "00005.png"].map((file) =>
      join(folder, data, "images/train", file),
    );
    for (const file of files) truncateSync(file, 300);
    const { code, err } = await resume(folder, "mended");
    expect(code).toBe(1);
    says("cli-images-too-many", err);
    says("cli-saved-for-later", err);
    await cp(join(folder, "digits"), join(folder, data), { recursive: true });
    expect((await resume(folder, "mended")).code).toBe(0);
    expect(state(folder, "mended").equals(whole)).toBe(true);
  });

  test("in evaluation and prediction", async () => {
    const data = await damaged("val", ["val/00001.png"]);
    const weights = ["--weights", inRun(folder, "whole"), "--threads", "1", "--out", folder, "--quiet"];
    const evaluated = await runCommand("val", "--data", join(folder, data, "data.yaml"), ...weights, "--json");
    expect(evaluated.code).toBe(0);
    says("cli-val-left-out", evaluated.err);
    expect(JSON.parse(evaluated.out).notes.join()).toContain("1 image of the validation data could not be used");

    const predicted = await runCommand("predict", join(folder, data, "images/val"), ...weights, "--json");
    expect(predicted.code).toBe(1);
    says("cli-predict-unread", predicted.err);
    const { images, unread, predictions } = JSON.parse(predicted.out);
    expect([images.length, unread.length]).toEqual([1, 1]);
    expect(JSON.parse(readFileSync(predictions, "utf8"))).toHaveLength(1);
  });
});

describe("prediction of a folder", () => {
  const predict = (path: string, ...more: string[]) =>
    runCommand(
      "predict",
      path,
      "--weights",
      inRun(folder, "whole"),
      "--threads",
      "1",
      "--out",
      folder,
      "--quiet",
      ...more,
    );

  test("names what it passes over, but not what systems put there", async () => {
    const images = join(folder, await damaged("mixed", []), "images/val");
    for (const name of ["a.heic", "b.HEIC", "notes.txt", "README", ".DS_Store", "._00000.png", "Thumbs.db"])
      writeFileSync(join(images, name), "x");
    const { code, out, err } = await predict(images, "--json");
    expect(code).toBe(0);
    says("cli-predict-passed-over", err);
    const { images: found, passedOver } = JSON.parse(out);
    expect(found).toHaveLength(2);
    expect(passedOver).toEqual(["README", "a.heic", "b.HEIC", "notes.txt"].map((name) => join(images, name)));
    for (const name of ["00000.png", "00001.png"]) rmSync(join(images, name));
    for (const name of ["a.a", "b.a", "c.c", "d.d"]) writeFileSync(join(images, name), "x");
    const none = await predict(images);
    expect(none.code).toBe(2);
    says("cli-predict-no-images", none.err);
  });

  test("says what a file is called on disk", async () => {
    const { code, err } = await predict(join(folder, "digits/images/VAL"));
    expect(code).toBe(2);
    says("cli-predict-missing", err);
  });

  test("the largest image is an option, for all commands that read images", async () => {
    const images = join(folder, "digits/images/val");
    const small = await predict(images, "--max-pixels", "9000", "--out", join(folder, "none"));
    expect(existsSync(join(folder, "none"))).toBe(false);
    expect(small.code).toBe(1);
    says("cli-max-pixels", small.err);
    expect((await predict(images, "--max-pixels", "9216")).code).toBe(0);
    const trained = await runCommand(...train("limit", "digits"), "--quiet", "--max-pixels", "9000");
    expect(trained.err).toContain("images cannot be used, more than the 1");
    expect(existsSync(inRun(folder, "limit"))).toBe(false);
    const options = ["--weights", inRun(folder, "whole"), "--threads", "1", "--max-pixels", "9000", "--quiet"];
    const evaluated = await runCommand("val", "--data", join(folder, "digits/data.yaml"), ...options);
    expect(evaluated.err).toContain("2 of 2 images cannot be used");
  });
});

test("missing images are said before anything is made", async () => {
  const data = await damaged("missing", []);
  rmSync(join(folder, data, "images/val/00001.png"));
  const { code, err } = await runCommand(...train("missing", data), "--quiet");
  expect(code).toBe(1);
  says("cli-images-missing", err);
  expect(existsSync(inRun(folder, "missing"))).toBe(false);
});

test("a data set without boxes is trained, with a warning", async () => {
  const data = await damaged("empty", []);
  const path = join(folder, data, "annotations/train.json");
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), annotations: [] }));
  const { code, err } = await runCommand(...train("empty", data), "--quiet");
  expect(code).toBe(0);
  says("cli-no-boxes", err);
});

describe("numbers that are not finite, as a step that went wrong would leave them", () => {
  /** Trains for an epoch, puts `value` into a tensor of the weights, and goes on. */
  async function goOnWith(name: string, tensor: string, value: number) {
    const args = [...train(name, "digits"), "--steps", "3", "--quiet", "train.limits.nonFiniteSteps=2"];
    expect((await runCommand(...args)).code).toBe(0);
    const path = inRun(folder, name, "weights", "state.safetensors");
    writeFileSync(path, changedValue(readFileSync(path), { tensor: `model.${tensor}`, element: 0, value }));
    const checkpoints = ["last", "best"].map((file) => inRun(folder, name, "weights", `${file}.safetensors`));
    const before = checkpoints.map((file) => readFileSync(file));
    const result = await resume(folder, name);
    expect(result.code).toBe(1);
    expect(checkpoints.map((file, i) => before[i]!.equals(readFileSync(file)))).toEqual([true, true]);
    return result.err;
  }

  test("in the loss: the run ends, and what is known about it is kept", async () => {
    says("cli-loss-nan", await goOnWith("nan", "decoder.dec_score_head.0.weight", Number.NaN));
    const report = JSON.parse(readFileSync(inRun(folder, "nan", "nonfinite.json"), "utf8"));
    expect(report).toMatchObject({ step: 5, weights: ["decoder.dec_score_head.0.weight"] });
  });

  test("in weights only: they become no checkpoint", async () => {
    says("cli-weights-infinite", await goOnWith("infinite", "decoder.enc_bbox_head.layers.2.bias", 1 / 0));
  });
});

test("a batch that no device could take is wrong usage", async () => {
  const { code, err } = await runCommand(...train("huge", "digits"), "--quiet", "--size", "12800", "--batch", "4");
  expect(code).toBe(2);
  says("cli-batch", err);
  expect(existsSync(inRun(folder, "huge"))).toBe(false);
});

test("a disk that is full while a checkpoint is saved: the one before stays, and the run goes on from it", async (context) => {
  await withSmallDisk(context, 8 * 2 ** 20, async (out) => {
    expect((await runCommand(...train("full", "digits", out), "--steps", "3", "--quiet")).code).toBe(0);
    const before = ["state", "last", "best"].map((name) =>
      readFileSync(inRun(out, "full", "weights", `${name}.safetensors`)),
    );
    const { bavail, bsize } = statfsSync(out);
    writeFileSync(join(out, "filler"), new Uint8Array(bavail * bsize - 64 * 1024));
    const { code, err } = await resume(out, "full");
    expect(code).toBe(1);
    says("cli-disk-full", err);
    const weights = inRun(out, "full", "weights");
    expect(readdirSync(weights).sort()).toEqual(["best.safetensors", "last.safetensors", "state.safetensors"]);
    expect(
      before.map((bytes, i) =>
        bytes.equals(readFileSync(join(weights, `${["state", "last", "best"][i]}.safetensors`))),
      ),
    ).toEqual([true, true, true]);
    rmSync(join(out, "filler"));
    expect((await resume(out, "full")).code).toBe(0);
    expect(state(out, "full").equals(whole)).toBe(true);
  });
});
