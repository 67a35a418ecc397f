import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { promisify } from "node:util";

/** ffmpeg, or ffprobe that comes with it, is not on the PATH. */
export class NoFfmpegError extends Error {
  override readonly name = "NoFfmpegError";

  constructor(cause: unknown) {
    super("ffmpeg, which reads and writes videos, is not installed (apt install ffmpeg, brew install ffmpeg)", {
      cause,
    });
  }
}

const orMissing = (error: unknown): unknown =>
  (error as NodeJS.ErrnoException).code === "ENOENT" ? new NoFfmpegError(error) : error;

/** A file as ffmpeg takes it whatever its name, and no other file or address that it might name. */
export const inputFile = (path: string): string[] => [
  "-protocol_whitelist",
  "file,pipe",
  "-i",
  `file:${resolve(path)}`,
];

/** Most of what ffmpeg says that is kept, letters. */
const MOST_SAID = 10_000;

/** A running ffmpeg. */
export interface Ffmpeg extends Disposable {
  readonly child: ChildProcess;
  /** Its exit code, once it has ended. @throws NoFfmpegError */
  readonly ended: Promise<number | null>;
  /** The last line that it has said. */
  readonly said: () => string;
}

/** Starts ffmpeg; disposing of it ends it at once. */
export function startFfmpeg(args: readonly string[]): Ffmpeg {
  const child = spawn("ffmpeg", ["-nostdin", "-v", "error", ...args], { stdio: ["pipe", "pipe", "pipe"] });
  let text = "";
  child.stderr.setEncoding("utf8").on("data", (more: string) => {
    text = (text + more).slice(-MOST_SAID);
  });
  const ended = once(child, "close").then(
    ([code]) => code as number | null,
    (error: unknown) => {
      throw orMissing(error);
    },
  );
  // Whoever waits for it hears of it; nobody needs to.
  ended.catch(() => undefined);
  child.stdin.on("error", () => undefined);
  return {
    ...{ child, ended },
    said: () => text.trim().split("\n").at(-1)!,
    [Symbol.dispose]: () => void child.kill("SIGKILL"),
  };
}

/** Frames per second where a file does not say it. */
const USUAL_RATE = "25";

/** Frames per second of a video, as a fraction such as 30000/1001. @throws NoFfmpegError */
export async function frameRate(path: string): Promise<string> {
  const entries = ["-select_streams", "v:0", "-show_entries", "stream=avg_frame_rate", "-of", "default=nw=1:nk=1"];
  try {
    const { stdout } = await promisify(execFile)("ffprobe", ["-v", "error", ...entries, ...inputFile(path)]);
    const rate = stdout.trim().split("\n")[0]!;
    return /^[1-9]\d*\/[1-9]\d*$/.test(rate) ? rate : USUAL_RATE;
  } catch (error) {
    const why = orMissing(error);
    if (why instanceof NoFfmpegError) throw why;
    return USUAL_RATE;
  }
}
