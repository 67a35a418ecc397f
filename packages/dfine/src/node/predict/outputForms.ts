import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createImage, type RgbImage } from "../../data/image.ts";
import type { RefinedObject } from "../../distributions.ts";
import type { Box, Result } from "../../result.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import { drawObjects, encodeImage, thumbnail } from "../draw.ts";
import { refinementFigure } from "../figures/refinementFigure.ts";
import { NoFfmpegError } from "../video/ffmpeg.ts";
import { VideoWriteError, VideoWriter } from "../video/videoWriter.ts";
import type { Frame } from "./frames.ts";

/** What outputs are made with. */
export interface OutputContext {
  /** Where they go. */
  readonly folder: string;
  /** Class names by class id. */
  readonly names: readonly string[];
  /** Takes every n-th frame of videos, so that theirs have fewer per second. */
  readonly every: number;
  readonly warn: (text: string) => void;
  /** Objects of an image with how their boxes came about. */
  readonly refine: (image: RgbImage) => Promise<RefinedObject[]>;
}

/** A form in which what was found is written. */
export interface Output {
  /** Takes what was found in a frame; gives the file that shows it, where there is one. */
  add(frame: Frame, result: Result): Promise<string | undefined>;
  /** Writes what is left, and gives the file or folder in which all of it is. */
  end(): Promise<string>;
}

/** Bytes of frames that ffmpeg may have been given before it is known that it cannot write: what a pipe holds, twice. */
const PIPE_BYTES = 2 ** 17;

/** The images with boxes, and videos as videos. */
function pictures({ folder, every, warn }: OutputContext): Output {
  let writer: { stem: string; video: VideoWriter; first: { path: string; image: RgbImage }[] } | undefined;
  let canWriteVideo = true;
  const write = async (path: string, image: RgbImage) => await writeFileAtomic(path, await encodeImage(image, path));
  const orPictures = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof VideoWriteError || error instanceof NoFfmpegError)) throw error;
      const lost = writer;
      lost?.video[Symbol.dispose]();
      writer = undefined;
      canWriteVideo = false;
      warn(`${error.message}; frames are written as images`);
      for (const { path, image } of lost?.first ?? []) await write(path, image);
    }
  };
  const endVideo = async (): Promise<void> => {
    const done = writer;
    if (done) await orPictures(() => done.video.end());
    writer = undefined;
  };
  return {
    add: async ({ file, stem, image, video }, { objects }) => {
      const drawn = drawObjects(image, objects);
      const path = join(folder, `${stem}${/\.png$/i.test(file) ? ".png" : ".jpg"}`);
      if (writer && writer.stem !== video?.stem) await endVideo();
      if (video && canWriteVideo) {
        const [frames, seconds] = video.rate.split("/").map(Number);
        writer ??= {
          ...{ stem: video.stem, first: [] },
          video: new VideoWriter(join(folder, `${video.stem}.mp4`), {
            ...{ width: image.width, height: image.height, rate: `${frames}/${(seconds ?? 1) * every}` },
          }),
        };
        const { video: out, first } = writer;
        await orPictures(() => out.add(drawn));
        if (first.length * drawn.data.length < PIPE_BYTES) first.push({ path, image: drawn });
        if (canWriteVideo) return out.path;
      }
      await write(path, drawn);
      return path;
    },
    end: async () => {
      await endVideo();
      return folder;
    },
  };
}

/** Annotations in COCO's form, with scores: what labelling tools open, and training reads. */
function coco({ folder, names }: OutputContext): Output {
  const images: object[] = [];
  const annotations: object[] = [];
  return {
    add: async ({ file, stem, video }, result) => {
      const id = images.length + 1;
      images.push({ id, file_name: video ? `${stem}.jpg` : file, width: result.width, height: result.height });
      for (const { categoryId, bbox, score } of result.toCOCO(id)) {
        const place = { id: annotations.length + 1, image_id: id, category_id: categoryId };
        annotations.push({ ...place, bbox, area: bbox[2] * bbox[3], iscrowd: 0, score });
      }
      return undefined;
    },
    end: async () => {
      const path = join(folder, "coco.json");
      await writeFileAtomic(
        path,
        JSON.stringify({ images, annotations, categories: names.map((name, id) => ({ id, name })) }),
      );
      return path;
    },
  };
}

/** A text for each image as YOLO trains on them, and the class names. */
function yolo({ folder, names }: OutputContext): Output {
  const labels = join(folder, "labels");
  return {
    add: async ({ stem }, result) => {
      await mkdir(labels, { recursive: true });
      await writeFileAtomic(join(labels, `${stem}.txt`), result.toYOLO());
      return undefined;
    },
    end: async () => {
      await mkdir(labels, { recursive: true });
      await writeFileAtomic(join(folder, "classes.txt"), names.map((name) => `${name}\n`).join(""));
      return labels;
    },
  };
}

/** Each object as an image of its own, in a folder of its class. */
function crops({ folder }: OutputContext): Output {
  const all = join(folder, "crops");
  return {
    add: async ({ stem, image }, { objects }) => {
      for (const [i, { label, box }] of objects.entries()) {
        const of = join(all, folderName(label));
        await mkdir(of, { recursive: true });
        const path = join(of, `${stem}-${i + 1}.jpg`);
        await writeFileAtomic(path, await encodeImage(cropped(image, box), path));
      }
      return undefined;
    },
    end: async () => {
      await mkdir(all, { recursive: true });
      return all;
    },
  };
}

/** Longer side of the picture in a figure, pixels. */
const FIGURE_SIDE = 640;

/** For each image a figure of first and final boxes, and of the distributions between. */
function distributions({ folder, refine }: OutputContext): Output {
  const all = join(folder, "distributions");
  return {
    add: async ({ stem, image }) => {
      await mkdir(all, { recursive: true });
      const { width, height } = image;
      const figure = { source: await thumbnail(image, FIGURE_SIDE), width, height, objects: await refine(image) };
      await writeFileAtomic(join(all, `${stem}.svg`), refinementFigure(figure));
      return undefined;
    },
    end: async () => all,
  };
}

/** A class's name as a folder can be called everywhere. */
const folderName = (label: string): string => label.replace(/[^\p{L}\p{N} _-]+/gu, "_").trim() || "_";

/** The pixels of a box, at least one. */
function cropped({ width, height, data }: RgbImage, { xmin, ymin, xmax, ymax }: Box): RgbImage {
  const [left, top] = [Math.min(Math.floor(xmin), width - 1), Math.min(Math.floor(ymin), height - 1)];
  const [right, bottom] = [Math.max(Math.ceil(xmax), left + 1), Math.max(Math.ceil(ymax), top + 1)];
  const out = createImage(right - left, bottom - top);
  for (let y = top; y < bottom; y++)
    out.data.set(data.subarray(3 * (y * width + left), 3 * (y * width + right)), 3 * (y - top) * out.width);
  return out;
}

/** The forms that there are, by the name that `--save` knows. */
export const OUTPUTS = { pictures, coco, yolo, crops, distributions } satisfies Record<
  string,
  (context: OutputContext) => Output
>;
/** One of `OUTPUTS`. */
export type OutputName = keyof typeof OUTPUTS;
export const OUTPUT_NAMES = Object.keys(OUTPUTS) as readonly OutputName[];
