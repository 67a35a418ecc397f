import { existsSync, readdirSync, readFileSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { says } from "../../../test/badInput.ts";
import { freshState, ownFile } from "../../../test/checkpoints.ts";
import { runCommand } from "../../../test/runCommand.ts";
import { standInFfmpeg, writeVideo } from "../../../test/standInFfmpeg.ts";
import { tinyModel } from "../../../test/tinyModel.ts";
import { type Served, weightsServer } from "../../../test/weightsServer.ts";
import { createImage } from "../../data/image.ts";
import { parseCoco } from "../../data/parseCoco.ts";
import { decodeImage } from "../data/decode.ts";
import { encodeImage } from "../draw.ts";

let folder = "";
let programs = "";
let files: Record<string, Served> = {};
let server: Awaited<ReturnType<typeof weightsServer>>;
const file = (...parts: string[]) => join(folder, ...parts);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-predict-"));
  programs = await standInFfmpeg(file("programs"));
  const model = tinyModel((config) => Object.assign(config, { classes: ["a/b", "..", "three"] }));
  const weights = ownFile(await freshState(model), model);
  await writeFile(file("w.safetensors"), weights);
  await mkdir(file("photos", "inner"), { recursive: true });
  const image = { ...createImage(120, 80), data: Uint8Array.from({ length: 28_800 }, (_, i) => (i * 31) % 256) };
  const png = await encodeImage(image, "x.png");
  await writeFile(file("photos", "one.png"), png);
  await writeFile(file("photos", "two.jpg"), await encodeImage(image, "x.jpg"));
  await copyFile(file("photos", "one.png"), file("photos", "inner", "one.png"));
  await writeFile(file("photos", "notes.txt"), "x");
  await writeVideo(file("clip.mp4"), { width: 64, height: 48, greys: [0, 60, 120, 180, 240], rate: "10/1" });
  files = {
    "/bus.jpg": { bytes: png },
    "/w.pth": { bytes: weights },
    "/page.jpg": { bytes: Buffer.from("<html>sign in") },
  };
  server = await weightsServer(files);
});
afterEach(() => {
  vi.unstubAllEnvs();
});
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

async function predict(name: string, ...argv: string[]) {
  const usual = ["--weights", file("w.safetensors"), "--threads", "1", "--device", "cpu", "--threshold", "0"];
  const given = ["predict", ...usual, "--max-detections", "5", "--out", folder, "--name", name, "--json", ...argv];
  const { code, out, err } = await runCommand(...given);
  return {
    code,
    err,
    data: out === "" ? undefined : JSON.parse(out),
    at: (...parts: string[]) => file("predict", name, ...parts),
  };
}

test("folders, patterns, files and addresses, in all forms", async () => {
  const forms = "pictures,coco,yolo,crops,distributions";
  const sources = [file("photos"), file("photos", "*", "*.png"), `${server.root}/bus.jpg?x=..%2f..%2fevil`];
  const { code, err, data, at } = await predict("all", ...sources, "--save", forms);
  expect(code).toBe(0);
  expect(err).toContain("passed over 2 files or folders (1 folder, 1 .txt)");
  expect(data.images.map((one: { file: string }) => one.file)).toEqual([
    ...[file("photos", "one.png"), file("photos", "two.jpg"), file("photos", "inner", "one.png"), sources[2]],
  ]);
  const stems = ["bus", "one", "one-2", "two"];
  expect(readdirSync(at()).sort()).toEqual(
    [
      ...["bus.jpg", "one.png", "one-2.png", "two.jpg"],
      ...["classes.txt", "coco.json", "crops", "distributions", "labels", "predictions.json", "report.html"],
    ].sort(),
  );
  expect((await decodeImage(at("one-2.png"))).width).toBe(120);
  const coco = parseCoco(readFileSync(at("coco.json"), "utf8"), "coco.json");
  expect(coco.images).toHaveLength(4);
  expect(readdirSync(at("labels")).sort()).toEqual(stems.map((stem) => `${stem}.txt`).sort());
  const labels = readFileSync(at("labels", "one.txt"), "utf8").trimEnd().split("\n");
  expect(labels).toHaveLength(5);
  const { objects } = data.images[0];
  for (const [i, line] of labels.entries()) {
    const [id, cx, cy, w, h] = line.split(" ").map(Number) as [number, number, number, number, number];
    const { xmin, ymin, xmax, ymax } = objects[i].box;
    expect(id).toBe(objects[i].classId);
    for (const [got, wanted] of [
      ...[
        [120 * (cx - w / 2), xmin],
        [120 * (cx + w / 2), xmax],
        [80 * (cy - h / 2), ymin],
        [80 * (cy + h / 2), ymax],
      ],
    ] as [number, number][])
      expect(got).toBeCloseTo(wanted, 2);
  }
  expect(readFileSync(at("classes.txt"), "utf8")).toBe("a/b\n..\nthree\n");
  for (const name of readdirSync(at("crops"))) expect(["a_b", "_", "three"]).toContain(name);
  expect(readdirSync(at("crops"), { recursive: true }).filter((name) => String(name).endsWith(".jpg"))).toHaveLength(
    20,
  );
  expect(readdirSync(at("distributions")).sort()).toEqual(stems.map((stem) => `${stem}.svg`).sort());
  expect(readFileSync(at("distributions", "one.svg"), "utf8").match(/>left</g)).toHaveLength(3);
  expect(Object.keys(data.saved)).toEqual(forms.split(","));
});

test("a long name, and the address of a file", async () => {
  const long = file(`${"ä".repeat(125)}.webp`);
  await copyFile(file("photos", "one.png"), long);
  const { code, data, at } = await predict("long", long, pathToFileURL(long).href, "--save", "pictures,crops");
  expect(code).toBe(0);
  expect(data.images.map((one: { file: string }) => one.file)).toEqual([long, long]);
  const stems = ["ä".repeat(100), `${"ä".repeat(100)}-2`];
  expect(
    readdirSync(at())
      .filter((name) => name.endsWith(".jpg"))
      .sort(),
  ).toEqual(stems.map((stem) => `${stem}.jpg`).sort());
});

test("a video becomes a video", async () => {
  vi.stubEnv("PATH", programs);
  const { code, data, at } = await predict(
    "video",
    file("clip.mp4"),
    "--every",
    "2",
    "--batch",
    "2",
    "--save",
    "pictures,yolo",
  );
  expect(code).toBe(0);
  expect(data.images.map(({ frame, time }: { frame: number; time: number }) => [frame, time])).toEqual([
    [0, 0],
    [2, 0.2],
    [4, 0.4],
  ]);
  expect(JSON.parse(await readFile(at("clip.mp4"), "utf8"))).toEqual({ frames: 3, rate: "10/2" });
  expect(readdirSync(at("labels"))).toEqual(["clip-000000.txt", "clip-000002.txt", "clip-000004.txt"]);
});

test("its frames become pictures where ffmpeg cannot write videos", async () => {
  vi.stubEnv("PATH", programs);
  vi.stubEnv("STAND_IN_CANNOT_WRITE", "1");
  const { code, err, at } = await predict("frames", file("clip.mp4"), file("photos", "one.png"));
  expect(code).toBe(0);
  says("video-as-images", err);
  expect(existsSync(at("clip-000004.jpg"))).toBe(true);
  expect(existsSync(at("clip.mp4"))).toBe(false);
  expect(existsSync(at("one.png"))).toBe(true);
});

test("without ffmpeg the images are done, and the videos told", async () => {
  vi.stubEnv("PATH", folder);
  const { code, err, data } = await predict("none", file("clip.mp4"), file("photos", "one.png"));
  expect(code).toBe(1);
  says("video-no-ffmpeg", err);
  expect(data.unread).toEqual([file("clip.mp4")]);
  expect(data.images).toHaveLength(1);
});

test.each([
  ["predict-address", 1, "/none.jpg"],
  ["predict-page", 1, "/page.jpg"],
  ["predict-video-address", 2, "/clip.mp4"],
])("%s", async (row, exit, path) => {
  const { code, err } = await predict("address", server.root + path);
  expect(code).toBe(exit);
  says(row, err);
});

test("a pattern without images, and weights by their address", async () => {
  const none = await predict("none", file("photos", "*.txt"));
  expect(none.code).toBe(2);
  says("predict-pattern", none.err);
  vi.stubEnv("DFINE_CACHE", file("cache"));
  const argv = ["--weights", `${server.root}/w.pth`];
  expect((await predict("fetched", file("photos", "one.png"), ...argv)).code).toBe(0);
  const { code, out } = await runCommand("info", `${server.root}/w.pth`, "--json");
  expect(code).toBe(0);
  expect(JSON.parse(out).file.startsWith(file("cache", "weights"))).toBe(true);
  expect(server.asked.filter(({ path }) => path === "/w.pth")).toHaveLength(1);
});
