import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { says } from "../../../test/badInput.ts";
import { freshState, huggingFaceFile, officialFile, presetModel } from "../../../test/checkpoints.ts";
import { runCommand } from "../../../test/runCommand.ts";
import { openCheckpoint } from "../../checkpoint/open.ts";
import { cocoStats } from "../../evaluation/cocoStats.ts";
import { makeDigits } from "../demo/digits.ts";

let folder = "";
let data: string[] = [];
const file = (...parts: string[]) => join(folder, ...parts);
const anonymous = (count: number) => Array.from({ length: count }, (_, id) => `class ${id}`);
const quick = () => ["--threads", "1", "--out", folder];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-weights-"));
  const { dataYaml } = await makeDigits({ folder: file("digits"), train: 4, val: 2, size: 320 });
  data = ["--data", dataYaml];
  const three = await freshState(presetModel("n", anonymous(3)), 1);
  const ten = await freshState(presetModel("n", anonymous(10)), 2);
  await writeFile(file("three.pth"), officialFile(three, three));
  await writeFile(file("ten.pth"), officialFile(ten, ten));
  await mkdir(file("hub"));
  await writeFile(file("hub", "model.safetensors"), huggingFaceFile(three));
  await writeFile(
    file("hub", "config.json"),
    JSON.stringify({ model_type: "d_fine", id2label: { 0: "a", 1: "b", 2: "c" } }),
  );
  await writeFile(file("broken.pth"), officialFile(three, three).subarray(0, 100_000));
}, 60_000);
afterAll(() => rm(folder, { recursive: true }));

describe("info", () => {
  test("of a .pth: format, preset, classes, parameters, averages, epoch", async () => {
    const { code, out } = await runCommand("info", file("three.pth"), "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      ...{ format: "pth", preset: "n", classes: anonymous(3), classNamesFrom: "order", size: [320, 320] },
      ...{ ema: true, weights: "ema", sets: ["ema", "model"], lastEpoch: 6, emaUpdates: 700, tensors: 674 },
      // Of models/n.json, less 77 rows of four heads and the embedding.
      parameters: 3_782_693 - 77 * (4 * (128 + 1) + 128),
    });
    const text = await runCommand("info", "--weights", file("three.pth"), "--no-ema");
    expect(text.out).toMatch(/^weights: model$/m);
    expect(text.out).toMatch(/^format: PyTorch checkpoint \(\.pth\)$/m);
  });

  test("of a folder from Hugging Face: its config.json names the classes", async () => {
    const { out } = await runCommand("info", file("hub"), "--json");
    expect(JSON.parse(out)).toMatchObject({
      format: "huggingface",
      classes: ["a", "b", "c"],
      classNamesFrom: "config",
      ema: false,
    });
  });

  test.each<[number, () => string[], RegExp]>([
    [
      2,
      () => [file("three.pth"), "train.epochs=3"],
      /either a file or a configuration; leave out .*three\.pth or train\.epochs=3/,
    ],
    [2, () => [file("three.pth"), file("ten.pth")], /one file at a time/],
    [1, () => [file("none.pth")], /none\.pth: does not exist/],
    [
      1,
      () => [file("broken.pth")],
      /broken\.pth: has no list of its entries at its end; it is damaged or incomplete; fetch it again/,
    ],
    [1, () => [file("digits")], /digits: holds no weights/],
  ])("ends with %i", async (code, argv, message) => {
    const result = await runCommand("info", ...argv());
    expect(result.err).toMatch(message);
    expect(result.code).toBe(code);
  });
});

test("weights before averaging are not guessed", async () => {
  const { code, err } = await runCommand("info", file("hub"), "--no-ema");
  says("weights-set-missing", err);
  expect(code).toBe(1);
});

describe("val", () => {
  test("prints the twelve numbers, and matches classes without names by order", async () => {
    const { code, out, err } = await runCommand("val", ...data, "--weights", file("ten.pth"), ...quick(), "--json");
    expect(code).toBe(0);
    const found = JSON.parse(out);
    for (const { name } of cocoStats) expect(found[name]).toEqual(found.stats[name]);
    expect(found.notes).toHaveLength(1);
    says("categories-by-order", found.notes[0]);
    expect(err).toContain(found.notes[0]);
  });

  test("does not guess where there are fewer classes than categories", async () => {
    const { code, err } = await runCommand("val", ...data, "--weights", file("three.pth"), ...quick());
    says("categories-count", err);
    expect(code).toBe(1);
  });
});

describe("train", () => {
  test("from weights with other classes says what it initialised, and takes preset and size from them", async () => {
    const argv = ["--weights", file("three.pth"), "--name", "tuned", ...quick()];
    argv.push("--batch", "2", "--steps", "1", "--workers", "0");
    const { code, out, err } = await runCommand("train", ...data, ...argv, "--json");
    expect(code).toBe(0);
    expect(err).toMatch(/weights: .*three\.pth: \d+ tensors loaded, averaged \(EMA\); 3 classes without names\n/);
    expect(err).toContain(
      "decoder.enc_score_head.weight: [3, 128] in the file, [10, 128] in the model: as initialised\n",
    );
    expect(err).toContain(
      "decoder.denoising_class_embed.weight: [4, 128] in the file, [11, 128] in the model: as initialised\n",
    );
    const [weights] = out.split("\n").map((line) => line && JSON.parse(line));
    expect(weights).toMatchObject({ kind: "weights", chosen: "ema", byOrder: false, kept: [] });
    expect(weights.changes).toHaveLength(9);
    const [event] = readFileSync(file("train", "tuned", "events.jsonl"), "utf8")
      .split("\n")
      .map((line) => line && JSON.parse(line));
    expect(event).toMatchObject(weights);
    const tuned = openCheckpoint(readFileSync(file("train", "tuned", "weights", "best.safetensors")));
    expect(tuned.model).toMatchObject({
      evalSize: [320, 320],
      classes: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    });
  });

  test("of another preset than the weights is refused", async () => {
    const { code, err } = await runCommand(
      "train",
      ...data,
      "--weights",
      file("three.pth"),
      "--model",
      "s",
      ...quick(),
    );
    says("weights-preset", err);
    expect(code).toBe(2);
  });

  test("of another architecture than the weights names what does not fit", async () => {
    const argv = ["--weights", file("ten.pth"), "decoder.layers=2", ...quick()];
    const { code, err } = await runCommand("train", ...data, ...argv);
    says("weights-architecture", err);
    expect(code).toBe(1);
  });
});
