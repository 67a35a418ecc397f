import { checkOptions, type OptionRules, whole } from "@dfine/tensor";
import { ImageError } from "../../data/errors.ts";
import { type RgbImage, rgbImage } from "../../data/image.ts";
import { abortSignal } from "../../optionRules.ts";
import { exists, specialFile } from "../data/onDisk.ts";
import { frameRate, inputFile, NoFfmpegError, startFfmpeg } from "./ffmpeg.ts";

/** A picture of a video. */
export interface VideoFrame extends RgbImage {
  /** Its number in the video, from 0. */
  readonly index: number;
  /** When it is shown, seconds from the start. */
  readonly time: number;
  /** Frames of the video per second, as a fraction such as 30000/1001. */
  readonly rate: string;
}

/** Options of `videoFrames`. */
export interface VideoFramesOptions {
  /** Takes every n-th frame, from the first on; default 1: all. */
  readonly every?: number | undefined;
  /** Largest frame that is taken, width times height. Default 100 million. */
  readonly maxPixels?: number | undefined;
  /** Ends it, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS: OptionRules<VideoFramesOptions> = { every: whole(1), maxPixels: whole(1), signal: abortSignal };

const VIDEO_NAME = /\.(mp4|m4v|mov|mkv|webm|avi|mpe?g|wmv|flv|ts|ogv|3gp)$/i;
/** Whether a file or address is a video, by its ending. */
export const isVideoName = (name: string): boolean => VIDEO_NAME.test(name);

/** 30000/1001 as a number. */
export function perSecond(rate: string): number {
  const [frames = 0, seconds = 1] = rate.split("/").map(Number);
  return frames / seconds;
}

/**
 * The frames of a video file, turned as players show them, one at a time: the next is decoded while one is looked at. An
 * installed ffmpeg decodes it. `for await (const result of detector.stream(videoFrames("clip.mp4")))` finds objects in them.
 * @throws ImageError where there is no ffmpeg, or the file is missing, no video, damaged or too large; ArgumentError for options
 */
export async function* videoFrames(path: string, options: VideoFramesOptions = {}): AsyncGenerator<VideoFrame, void> {
  checkOptions("videoFrames", options, OPTIONS);
  const { every = 1, maxPixels = 100_000_000, signal } = options;
  const refuse = (problem: string, remedy: string) => new ImageError(path, problem, remedy);
  if (!(await exists(path))) throw refuse("does not exist", "Check the path.");
  const special = await specialFile(path);
  if (special !== undefined) throw refuse(`is ${special}`, "Give a file.");
  let index = 0;
  try {
    const rate = await frameRate(path);
    const format = ["-map", "0:v:0", "-r", rate, "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"];
    using ffmpeg = startFfmpeg([...inputFile(path), ...format]);
    const pictures = readPpm(ffmpeg.child.stdout!, (width, height) => {
      if (width * height > maxPixels)
        throw refuse(
          `has ${width}x${height} pixels, over the limit of ${maxPixels}`,
          "Scale the video down first, or raise maxPixels (on the command line --max-pixels).",
        );
    });
    for await (const picture of pictures) {
      signal?.throwIfAborted();
      if (index % every === 0) yield { ...picture, index, time: index / perSecond(rate), rate };
      index++;
    }
    const code = await ffmpeg.ended;
    if (index === 0) throw refuse(`is no video that ffmpeg can read (${ffmpeg.said()})`, "Check the file.");
    if (code !== 0)
      throw refuse(`breaks off after ${index} frames (${ffmpeg.said()})`, "The file is damaged or cut short.");
  } catch (error) {
    if (!(error instanceof NoFfmpegError)) throw error;
    throw refuse(`is a video, and ${error.message}`, "Install it, or give the frames as images.");
  }
}

/** `P6`, width, height and the largest value, each followed by a blank; then the pixels. */
const HEADER = /^P6\s(\d+)\s(\d+)\s255\s/;
const LONGEST_HEADER = 40;

/** Pictures in PPM form, one after the other, in pieces that begin and end anywhere. An unfinished last one is left out, and it ends at what is no picture. */
export async function* readPpm(
  pieces: AsyncIterable<Uint8Array>,
  check: (width: number, height: number) => void = () => {},
): AsyncGenerator<RgbImage, void> {
  let rest: Uint8Array = new Uint8Array();
  let picture: { image: RgbImage; filled: number } | undefined;
  for await (const piece of pieces) {
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    while (rest.length > 0) {
      if (!picture) {
        const header = HEADER.exec(Buffer.from(rest.subarray(0, LONGEST_HEADER)).toString("latin1"));
        if (!header && rest.length >= LONGEST_HEADER) return;
        if (!header) break;
        const [width, height] = [Number(header[1]), Number(header[2])];
        check(width, height);
        picture = { image: rgbImage(width, height, new Uint8Array(3 * width * height)), filled: 0 };
        rest = rest.subarray(header[0].length);
      }
      const { image } = picture;
      const taken = rest.subarray(0, image.data.length - picture.filled);
      image.data.set(taken, picture.filled);
      picture.filled += taken.length;
      rest = rest.subarray(taken.length);
      if (picture.filled < image.data.length) break;
      picture = undefined;
      yield image;
    }
  }
}
