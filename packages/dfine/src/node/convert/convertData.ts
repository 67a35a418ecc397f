import { randomUUID } from "node:crypto";
import { copyFile, link, mkdir, rename, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { DatasetError } from "../../data/errors.ts";
import { SPLITS, type SplitName } from "../../data/splits.ts";
import * as rule from "../../optionRules.ts";
import { FileWriteError } from "../checkpointFile.ts";
import { checkImages } from "../data/checkImages.ts";
import type { WriteTarget } from "../data/formats/format.ts";
import { DATA_FORMATS } from "../data/formats.ts";
import { loadData } from "../data/loadData.ts";
import { checkNewFolder } from "../newFolder.ts";

/** The forms that data sets are converted to. */
export const WRITTEN_FORMATS = ["coco", "yolo", "voc"] as const;
/** What becomes of the images: copies, hard links to the same files where the disk allows it, or none (COCO alone). */
export const IMAGE_MOVES = ["copy", "link", "leave"] as const;

/** What `convertData` converts, and to what. */
export interface ConvertDataOptions {
  /** A data set in any form that `loadData` reads. */
  readonly from: string;
  readonly to: (typeof WRITTEN_FORMATS)[number];
  /** Folder to write, which must not be there yet, or be empty. */
  readonly out: string;
  /** Default "copy". */
  readonly images?: (typeof IMAGE_MOVES)[number];
  /** As `loadData` takes it. */
  readonly valSplit?: number | undefined;
  /** Told of each image that is in its new place. */
  readonly onProgress?: (done: number) => void;
}

const OPTIONS: rule.OptionRules<ConvertDataOptions> = {
  ...{ from: rule.needed(rule.text), to: rule.needed(rule.oneOf(WRITTEN_FORMATS)), out: rule.needed(rule.text) },
  ...{ images: rule.oneOf(IMAGE_MOVES), valSplit: rule.between(0, 1), onProgress: rule.callable },
};

/** What was converted. */
export interface ConvertedData {
  /** Images of each part. */
  readonly parts: { readonly [name in SplitName]?: number };
  /** What was recognised, and what the new form cannot hold, as sentences. */
  readonly notes: readonly string[];
}

/**
 * Converts a data set from any form that `loadData` reads. The folder is there when all of it is written, or not at all;
 * nothing is written over.
 * @throws DatasetError, ImageError for what cannot be read, FileWriteError, ArgumentError for options
 */
export async function convertData(options: ConvertDataOptions): Promise<ConvertedData> {
  rule.checkOptions("convertData", options, OPTIONS);
  const { from, to, images = "copy", valSplit, onProgress } = options;
  const out = resolve(options.out);
  const format = DATA_FORMATS.find(({ name }) => name === to)!;
  if (images === "leave" && to !== "coco")
    throw new DatasetError(from, `needs its images beside the labels of ${to}`, "Copy or link them.");
  await checkNewFolder(out, from);
  const { notes, ...data } = await loadData(from, SPLITS, [], { valSplit });
  for (const part of Object.values(data)) await checkImages(part);
  const folder = join(dirname(out), `.${basename(out)}.${randomUUID()}.tmp`);
  try {
    await mkdir(folder, { recursive: true });
    const lost = await format.write!(data, {
      folder,
      leave: images === "leave",
      place: placer(folder, images, onProgress),
    });
    await rmdir(out).catch(() => {});
    await rename(folder, out);
    const parts = Object.fromEntries(Object.entries(data).map(([name, { dataset }]) => [name, dataset.images.length]));
    return { parts, notes: [...notes, ...lost] };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new FileWriteError(out, error as NodeJS.ErrnoException);
  }
}

function placer(
  folder: string,
  images: (typeof IMAGE_MOVES)[number],
  onProgress: ConvertDataOptions["onProgress"],
): WriteTarget["place"] {
  let done = 0;
  return async (from, to) => {
    const path = join(folder, to);
    await mkdir(dirname(path), { recursive: true });
    if (images === "link") await link(from, path).catch(() => copyFile(from, path));
    else await copyFile(from, path);
    onProgress?.(++done);
  };
}
