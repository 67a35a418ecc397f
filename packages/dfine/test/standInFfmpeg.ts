import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What the stand-in takes for a video: frames of one grey each, and how it ends. */
export interface StandInVideo {
  readonly width: number;
  readonly height: number;
  readonly greys: readonly number[];
  readonly rate?: string;
  /** What ffmpeg complains of at the end, with exit code 1. */
  readonly fault?: string;
}

const PROGRAM = `#!${process.execPath}
const { readFileSync, writeFileSync, existsSync } = require("node:fs");
const args = process.argv.slice(2);
const after = (name) => args[args.indexOf(name) + 1];
const fail = (text) => { process.stderr.write(text + "\\n"); process.exitCode = 1; };
if (after("-f") === "rawvideo") {
  const out = args.at(-1).replace(/^file:/, "");
  if (process.env.STAND_IN_CANNOT_WRITE) return fail("Unknown encoder");
  const size = after("-video_size").split("x").reduce((a, b) => a * b, 3);
  let bytes = 0;
  process.stdin.on("data", (data) => { bytes += data.length; });
  process.stdin.on("end", () => writeFileSync(out, JSON.stringify({ frames: bytes / size, rate: after("-framerate") }), { flag: "wx" }));
} else {
  let video;
  try { video = JSON.parse(readFileSync(after("-i").replace(/^file:/, ""), "utf8")); } catch { return fail("Invalid data found"); }
  if (process.argv[1].endsWith("ffprobe")) return process.stdout.write((video.rate ?? "0/0") + "\\n");
  for (const grey of video.greys)
    process.stdout.write(Buffer.concat([Buffer.from("P6\\n" + video.width + " " + video.height + "\\n255\\n"), Buffer.alloc(3 * video.width * video.height, grey)]));
  if (video.fault) fail(video.fault);
}
`;

/** Writes programs called ffmpeg and ffprobe into a folder, which then stands for an installed ffmpeg in PATH. */
export async function standInFfmpeg(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const name of ["ffmpeg", "ffprobe"]) {
    // CommonJS, whose modules may end by return.
    await writeFile(join(folder, name), PROGRAM);
    await chmod(join(folder, name), 0o755);
  }
  return folder;
}

export const writeVideo = (path: string, video: StandInVideo): Promise<void> => writeFile(path, JSON.stringify(video));
