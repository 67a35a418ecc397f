import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { runCommand } from "../../../test/runCommand.ts";
import { inRun, tinyTrain } from "../../../test/tinyRun.ts";
import { decodeImage } from "../data/decode.ts";
import { makeDigits } from "../demo/digits.ts";

let folder = "";
let data = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-cli-"));
  ({ dataYaml: data } = await makeDigits({ folder: join(folder, "digits"), train: 6, val: 2, size: 96 }));
});
afterAll(() => rm(folder, { recursive: true }));

/** Options of a run of six steps over two epochs with a tiny model, whose images a thread prepares. */
const tiny = (name: string): string[] => [...tinyTrain({ data, out: folder, name }), "--workers", "1"];
const run = (name: string, ...parts: string[]) => inRun(folder, name, ...parts);
const state = (name: string) => readFileSync(run(name, "weights", "state.safetensors"));

test("info shows a model with another backbone", async () => {
  const { code, out } = await runCommand("info", "backbone.type=resnet50", "backbone.freezeNorm=true", "--json");
  expect(code).toBe(0);
  const backbone = { type: "resnet50", returnStages: [2, 3], freezeAt: -1, freezeNorm: true };
  expect(JSON.parse(out).config.model.backbone).toEqual(backbone);
});

describe("a run", () => {
  test("leaves configuration, results, logs, weights and report, and tells programs what they need", async () => {
    const { code, out } = await runCommand(...tiny("whole"), "--json", "--quiet");
    expect(code).toBe(0);
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map(({ kind }) => kind)).toEqual(["epoch", "epoch", "done"]);
    expect(readFileSync(run("whole", "config.yaml"), "utf8")).toContain("decay: 0.9\n");
    expect(readFileSync(run("whole", "results.csv"), "utf8").trimEnd().split("\n")).toHaveLength(3);
    expect(readFileSync(run("whole", "events.jsonl"), "utf8").trimEnd().split("\n")).toHaveLength(8);
    const [, predictions = ""] = readFileSync(run("whole", "report.html"), "utf8").split('<section id="predictions"');
    expect(predictions.match(/<figure /g)).toHaveLength(2);
    for (const name of ["last", "best", "state"])
      expect(existsSync(run("whole", "weights", `${name}.safetensors`))).toBe(true);
    expect(existsSync(run("whole", "env.json"))).toBe(true);
  });

  test("goes on exactly where it stood, inside an epoch, with the same logs", async () => {
    expect((await runCommand(...tiny("parts"), "--steps", "4", "--quiet")).code).toBe(0);
    expect((await runCommand("train", "--resume", run("parts"), "--threads", "1", "--quiet")).code).toBe(0);
    expect(state("parts").equals(state("whole"))).toBe(true);
    const rows = (name: string) =>
      readFileSync(run(name, "results.csv"), "utf8")
        .split("\n")
        .map((row) => row.split(",").filter((_, column) => column !== 2));
    expect(rows("parts")).toEqual(rows("whole"));
    expect(readFileSync(run("parts", "events.jsonl"), "utf8").trimEnd().split("\n")).toHaveLength(8);
  });

  test("saves and ends with 130 when it is interrupted, and goes on from there", async () => {
    const running = runCommand(...tiny("stopped"), "--quiet");
    await vi.waitUntil(
      () => existsSync(run("stopped", "events.jsonl")) && readFileSync(run("stopped", "events.jsonl")).length > 0,
      {
        timeout: 30_000,
        interval: 2,
      },
    );
    process.emit("SIGINT");
    const { code, err } = await running;
    expect(code).toBe(130);
    expect(err).toContain("stopping after this step");
    expect((await runCommand("train", "--resume", run("stopped"), "--threads", "1", "--quiet")).code).toBe(0);
    expect(state("stopped").equals(state("whole"))).toBe(true);
  });

  test("can be evaluated, used and looked into", async () => {
    const weights = ["--weights", run("whole"), "--threads", "1", "--out", folder, "--quiet"];
    const explain = ["--per-layer", "--store-threshold"];
    const evaluated = await runCommand("val", "--data", data, ...weights, "--json", ...explain);
    expect(evaluated.code).toBe(0);
    const { stats, detections, report, ...rest } = JSON.parse(evaluated.out);
    expect(rest.layers).toHaveLength(3);
    expect(rest.layers[2]).toEqual(stats);
    expect(rest.confusion.counts).toHaveLength(11);
    expect(rest.curves.perCategory).toHaveLength(10);
    expect(rest.mistakes.threshold).toBe(rest.threshold);
    expect(stats.AP).toBeGreaterThanOrEqual(0);
    expect(JSON.parse(readFileSync(detections, "utf8"))).toHaveLength(2 * 12);
    expect(existsSync(report)).toBe(true);

    const images = join(folder, "digits", "images", "val");
    const predicted = await runCommand("predict", images, ...weights, "--threshold", "0", "--json");
    expect(predicted.code).toBe(0);
    const [first] = JSON.parse(predicted.out).images;
    expect(first).toMatchObject({ width: 96, height: 96 });
    expect(first.objects).toHaveLength(12);
    expect((await decodeImage(join(folder, "predict", "predict", "00000.png"))).width).toBe(96);

    const info = await runCommand("info", "--weights", run("whole"), "--json");
    const changed = ["backbone", "encoder", "decoder", "denoising", "numTopQueries"];
    const facts = { preset: "n", changed, backbone: "hgnetv2", size: [96, 96], queries: 12 };
    expect(JSON.parse(info.out)).toMatchObject(facts);
    expect((await runCommand("info", run("whole"))).out).toContain(`preset: n, but for ${changed.join(", ")}\n`);
  });
});

describe("exit codes and messages", () => {
  test.each([
    [0, ["--help"], /Usage: dfine/],
    [0, ["info", "--model", "s"], /preset: s/],
    [2, ["trian"], /Did you mean train\?/],
    [2, ["train", "--sise", "3"], /Did you mean --size\?/],
    [2, ["train", "--size", "x"], /whole number/],
    [2, ["train"], /no data/],
    [2, ["train", "--data", "none.yaml", "--no-ema"], /--no-ema chooses among the weights of a file/],
    [2, ["info", "ema.decya=1"], /did you mean "train.ema.decay"/],
    [2, ["train", "--resume", "x", "--lr", "1"], /leave out --lr/],
    [2, ["predict", "none.jpg", "--weights", "x"], /none\.jpg: there is no such file/],
    [1, ["train", "--resume", "nowhere"], /no such run/],
    [1, ["val", "--weights", "none.safetensors", "--data", "none.yaml"], /none\.yaml: does not exist/],
    [1, ["info", "--weights", "none.safetensors"], /none\.safetensors: does not exist/],
    [
      1,
      ["info", "--weights", "n-cocoo"],
      /n-cocoo: there is no such file, nor official weights .* did you mean n-coco\?/,
    ],
  ] as const)("%i for %j", async (code, argv, message) => {
    const result = await runCommand(...argv);
    expect(result.out + result.err).toMatch(message);
    expect(result.code).toBe(code);
  });
});
