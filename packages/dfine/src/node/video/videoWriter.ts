import { once } from "node:events";
import { resolve } from "node:path";
import type { RgbImage } from "../../data/image.ts";
import { resizeBilinear } from "../../data/resize.ts";
import { type Ffmpeg, startFfmpeg } from "./ffmpeg.ts";

/** A video that could not be written. */
export class VideoWriteError extends Error {
  override readonly name = "VideoWriteError";
}

/** What a video file is made as. */
export interface VideoFormat {
  readonly width: number;
  readonly height: number;
  /** Frames per second, a number or a fraction such as 30000/1001. */
  readonly rate: string;
}

/** Frames into a video file, through an installed ffmpeg, in the form that its ending means. */
export class VideoWriter implements Disposable {
  readonly path: string;
  readonly #ffmpeg: Ffmpeg;
  readonly #format: VideoFormat;

  constructor(path: string, format: VideoFormat) {
    const { width, height, rate } = format;
    const input = ["-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", `${width}x${height}`, "-framerate", rate];
    // Common forms of colour halve the sides.
    const output = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-n"];
    this.path = path;
    this.#format = format;
    this.#ffmpeg = startFfmpeg([...input, "-i", "-", ...output, `file:${resolve(path)}`]);
  }

  /** Adds a frame; one of another size is brought to that of the video. @throws VideoWriteError */
  async add(frame: RgbImage): Promise<void> {
    const { width, height } = this.#format;
    const { data } = frame.width === width && frame.height === height ? frame : resizeBilinear(frame, width, height);
    const { child, ended } = this.#ffmpeg;
    if (child.exitCode === null && child.stdin!.write(data)) return;
    // It ends before the pipe is empty where it cannot go on.
    const drained = once(child.stdin!, "drain").catch(() => this.#check());
    await Promise.race([drained, ended.then(() => this.#check())]);
  }

  /** Ends the video. @throws VideoWriteError */
  async end(): Promise<void> {
    this.#ffmpeg.child.stdin!.end();
    await this.#check();
  }

  async #check(): Promise<void> {
    const code = await this.#ffmpeg.ended;
    if (code !== 0)
      throw new VideoWriteError(`${this.path}: ffmpeg cannot write it (${this.#ffmpeg.said() || `exit code ${code}`})`);
  }

  /** Ends ffmpeg, wherever it is. */
  [Symbol.dispose](): void {
    this.#ffmpeg[Symbol.dispose]();
  }
}
