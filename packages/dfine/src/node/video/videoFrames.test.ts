import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { says, thrown } from "../../../test/badInput.ts";
import { standInFfmpeg, writeVideo } from "../../../test/standInFfmpeg.ts";
import { createImage } from "../../data/image.ts";
import { readPpm, type VideoFrame, type VideoFramesOptions, videoFrames } from "./videoFrames.ts";
import { VideoWriter } from "./videoWriter.ts";

let folder = "";
let programs = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "dfine-video-"));
  programs = await standInFfmpeg(join(folder, "programs"));
});
afterEach(() => {
  vi.unstubAllEnvs();
});
afterAll(() => rm(folder, { recursive: true }));

const installed = () => vi.stubEnv("PATH", programs);
const file = (name: string) => join(folder, name);
async function all(name: string, options?: VideoFramesOptions): Promise<VideoFrame[]> {
  const frames: VideoFrame[] = [];
  for await (const frame of videoFrames(file(name), options)) frames.push(frame);
  return frames;
}

test("frames come with number and time, each or every n-th", async () => {
  installed();
  await writeVideo(file("five.mp4"), { width: 4, height: 2, greys: [10, 20, 30, 40, 50], rate: "5/2" });
  const frames = await all("five.mp4", { every: 2 });
  expect(frames.map(({ index, time, data }) => [index, time, data[0], data.length])).toEqual([
    [0, 0, 10, 24],
    [2, 0.8, 30, 24],
    [4, 1.6, 50, 24],
  ]);
});

test("what cannot be read is told", async () => {
  installed();
  says("video-missing", await thrown(() => all("none.mp4")));
  await writeVideo(file("empty.mp4"), { width: 4, height: 2, greys: [], fault: "moov atom not found" });
  says("video-unread", await thrown(() => all("empty.mp4")));
  await writeVideo(file("cut.mp4"), { width: 4, height: 2, greys: [1, 2], fault: "partial file" });
  says("video-breaks", await thrown(() => all("cut.mp4")));
  await writeVideo(file("huge.mp4"), { width: 400, height: 200, greys: [1] });
  says("video-pixels", await thrown(() => all("huge.mp4", { maxPixels: 1000 })));
  vi.stubEnv("PATH", folder);
  says("video-no-ffmpeg", await thrown(() => all("cut.mp4")));
});

test("a reader that stops ends ffmpeg, and so does a signal", async () => {
  installed();
  await writeVideo(file("long.mp4"), { width: 200, height: 200, greys: Array.from({ length: 300 }, () => 7) });
  for await (const { index } of videoFrames(file("long.mp4"))) if (index === 1) break;
  const stop = new AbortController();
  stop.abort(new Error("enough"));
  expect((await thrown(() => all("long.mp4", { signal: stop.signal }))).message).toBe("enough");
});

test("frames are written as a video; where that fails it is told", async () => {
  installed();
  const write = async (name: string, count: number) => {
    using writer = new VideoWriter(file(name), { width: 200, height: 100, rate: "25/2" });
    for (let i = 0; i < count; i++) await writer.add(createImage(i % 2 ? 200 : 50, 100));
    await writer.end();
  };
  await write("made.mp4", 40);
  expect(JSON.parse(await readFile(file("made.mp4"), "utf8"))).toEqual({ frames: 40, rate: "25/2" });
  vi.stubEnv("STAND_IN_CANNOT_WRITE", "1");
  says("video-write", await thrown(() => write("other.mp4", 40)));
  vi.stubEnv("PATH", folder);
  expect((await thrown(() => write("other.mp4", 1))).message).toContain("is not installed");
});

test("what is not pictures ends the reading, however much of it there is", async () => {
  let given = 0;
  async function* pieces() {
    for (; given < 100; given++) yield Buffer.from("P6\n96 96\n65535\n".padEnd(1000));
  }
  const read = async () => {
    for await (const _ of readPpm(pieces()));
  };
  await read();
  expect(given).toBe(0);
});

test("pictures are read whole however they are cut into pieces", async () => {
  const picture = fc.record({ width: fc.integer({ min: 1, max: 9 }), height: fc.integer({ min: 1, max: 9 }) });
  const cuts = fc.infiniteStream(fc.integer({ min: 1, max: 40 }));
  await fc.assert(
    fc.asyncProperty(fc.array(picture, { maxLength: 6 }), cuts, fc.boolean(), async (sizes, lengths, unfinished) => {
      const pictures = sizes.map(({ width, height }, i) => ({
        ...{ width, height, data: Uint8Array.from({ length: 3 * width * height }, (_, k) => (i * 37 + k * 11) % 256) },
      }));
      const bytes = Buffer.concat([
        ...pictures.flatMap(({ width, height, data }) => [Buffer.from(`P6\n${width} ${height}\n255\n`), data]),
        Buffer.from(unfinished ? "P6\n3 3\n255\nxyz" : ""),
      ]);
      async function* pieces() {
        for (let at = 0; at < bytes.length; ) {
          const length = lengths.next().value as number;
          yield bytes.subarray(at, at + length);
          at += length;
        }
      }
      const read = [];
      for await (const one of readPpm(pieces())) read.push(one);
      expect(read).toEqual(pictures);
    }),
    { numRuns: 60 },
  );
});
