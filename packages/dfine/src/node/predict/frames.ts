import { basename } from "node:path";
import type { FetchOptions } from "../../checkpoint/fetch.ts";
import type { RgbImage } from "../../data/image.ts";
import { isWebAddress, readImage } from "../data/readImage.ts";
import { isVideoName, type VideoFrame, videoFrames } from "../video/videoFrames.ts";

/** A picture in which objects are looked for. */
export interface Frame {
  /** The file or address that it is of. */
  readonly file: string;
  /** A name of its own for the files that are made of it, without an ending. */
  readonly stem: string;
  readonly image: RgbImage;
  /** Where it is in a video, and the name for files of the whole video. */
  readonly video?: Pick<VideoFrame, "index" | "time" | "rate"> & { readonly stem: string };
}

/** How pictures are read. */
export interface FramesOptions extends Pick<FetchOptions, "signal" | "timeout"> {
  /** Pictures at a time. */
  readonly batch: number;
  /** Takes every n-th frame of videos. */
  readonly every?: number | undefined;
  readonly maxPixels?: number | undefined;
  /** Is told what could not be read; the others are gone on with. */
  readonly onUnread: (file: string, error: unknown) => void;
}

/** The pictures of files, addresses and videos, in order and in batches, whose images are decoded beside each other. */
export async function* framesOf(files: readonly string[], options: FramesOptions): AsyncGenerator<Frame[], void> {
  const { batch, every, maxPixels, signal, onUnread } = options;
  const stems = new Stems();
  for (const run of runsOf(files, batch)) {
    const [first] = run;
    if (!isVideoName(first!)) {
      const read = run.map(async (file): Promise<Frame[]> => {
        const stem = stems.next(stemOf(file));
        try {
          return [{ file, stem, image: await readImage(file, options) }];
        } catch (error) {
          onUnread(file, error);
          return [];
        }
      });
      yield (await Promise.all(read)).flat();
      continue;
    }
    const stem = stems.next(stemOf(first!));
    let group: Frame[] = [];
    try {
      for await (const { index, time, rate, ...image } of videoFrames(first!, { every, maxPixels, signal })) {
        const number = String(index).padStart(6, "0");
        group.push({ file: first!, stem: `${stem}-${number}`, image, video: { index, time, rate, stem } });
        if (group.length < batch) continue;
        yield group;
        group = [];
      }
    } catch (error) {
      onUnread(first!, error);
    }
    yield group;
  }
}

/** Neighbouring images up to a number, and videos by themselves. */
function runsOf(files: readonly string[], most: number): string[][] {
  const runs: string[][] = [];
  for (const file of files) {
    const last = runs.at(-1);
    if (!last || isVideoName(file) || isVideoName(last[0]!) || last.length === most) runs.push([file]);
    else last.push(file);
  }
  return runs;
}

/** Longest name that is taken from an address, and from a file: what is added to it must fit 255 bytes. */
const LONGEST = { address: 80, file: 200 };

/** What files made of an image are called; of an address only harmless letters are taken. */
function stemOf(file: string): string {
  const name = isWebAddress(file) ? new URL(file).pathname.split("/").at(-1)! : basename(file);
  const stem = name.replace(/\.\w+$/, "");
  return isWebAddress(file)
    ? stem.replace(/[^A-Za-z0-9_-]+/g, "_").slice(-LONGEST.address) || "image"
    : firstBytes(stem || name, LONGEST.file);
}

/** The beginning of a text, in UTF-8, without the character that would be cut through. */
const firstBytes = (text: string, most: number): string =>
  Buffer.byteLength(text) <= most
    ? text
    : Buffer.from(text)
        .subarray(0, most)
        .toString()
        .replace(/\uFFFD+$/, "");

/** Names that are given out once each, also where upper and lower case are the same. */
class Stems {
  readonly #taken = new Set<string>();

  next(stem: string): string {
    for (let i = 1; ; i++) {
      const name = i === 1 ? stem : `${stem}-${i}`;
      if (this.#taken.has(name.toLowerCase())) continue;
      this.#taken.add(name.toLowerCase());
      return name;
    }
  }
}
