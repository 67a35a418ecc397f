import { createHash } from "node:crypto";
import { realpath } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import pLimit from "p-limit";
import { ImageError } from "../../data/errors.ts";
import { undecodableKind } from "../../data/imageKinds.ts";
import { THUMBNAIL } from "../../doctor/similarImages.ts";
import type { ImageFacts, ImageRow, PartSource } from "../../doctor/survey.ts";
import { readHeader, reason, UNSUPPORTED } from "../data/decode.ts";
import { readWhole, spellingDifference, withSeparators } from "../data/onDisk.ts";
import { leavesFolder, resolveInside } from "../data/paths.ts";
import { loadSharp } from "../optional.ts";
import { FolderFiles } from "./folderFiles.ts";

/** Images that are read at the same time: as many as libuv has threads. */
const PARALLEL = 4;

/** How image files are looked at. */
export interface LookOptions {
  readonly maxPixels: number;
  /** Whether to look into the files; otherwise only whether they are there. */
  readonly read: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Called after each image. */
  readonly onImage: () => void;
}

/** Finds out what the files of a part's images are like. @throws the signal's reason */
export async function lookAtImages({ images, imageRoot }: PartSource, options: LookOptions): Promise<void> {
  const folder = await realpath(imageRoot).catch(() => undefined);
  const files = new FolderFiles(folder ?? imageRoot);
  await pLimit(PARALLEL).map(images, async (row) => {
    options.signal?.throwIfAborted();
    row.facts = await factsOf(row, { folder, files, imageRoot }, options);
    options.onImage();
  });
}

interface Folder {
  /** Undefined where it is not there. */
  readonly folder: string | undefined;
  readonly files: FolderFiles;
  readonly imageRoot: string;
}

async function factsOf({ values }: ImageRow, folder: Folder, options: LookOptions): Promise<ImageFacts> {
  const fileName = values.file_name;
  if (typeof fileName !== "string" || fileName === "") return {};
  const place = await locate(fileName, folder);
  return place.source !== undefined && options.read ? { ...place, ...(await examine(place.source, options)) } : place;
}

async function locate(fileName: string, { folder, files, imageRoot }: Folder): Promise<ImageFacts> {
  const missing = (is: string): ImageFacts => ({ naming: ["image-missing", is] });
  if (folder === undefined) return missing(`is not there: ${imageRoot} does not exist`);
  const inside = async (path: string, naming: ImageFacts["naming"]): Promise<ImageFacts> => {
    const source = await realpath(join(folder, path)).catch(() => undefined);
    return source === undefined ? missing("is a link to nothing") : { source, path, ...(naming ? { naming } : {}) };
  };
  if (leavesFolder(fileName)) {
    const found = await files.find(fileName);
    return found === undefined
      ? { naming: ["path-outside", "is not in the image folder"] }
      : await inside(found, ["path-outside", `is there as ${found}`]);
  }
  const path = relative(folder, await withSeparators(join(folder, fileName)))
    .split(sep)
    .join("/");
  try {
    await resolveInside(folder, fileName);
    const isPlain = path === fileName || !fileName.includes("\\");
    return await inside(path, isPlain ? undefined : ["path-separators", `is there as ${path}`]);
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    if (!error.message.includes("does not exist"))
      return await inside(path, ["path-outside", "is a link out of the folder"]);
  }
  const found = await files.find(fileName);
  if (found === undefined) return missing(`is not in ${imageRoot}`);
  const isSpelling = found.split("/").length === path.split("/").length;
  const differ = isSpelling ? `the names differ ${spellingDifference(fileName, found)}` : "the folders differ";
  return await inside(found, ["image-spelling", `is there as ${found}: ${differ}`]);
}

/** Spaces of colour in which pixels are turned into 8-bit RGB with a loss. */
const colourOf = ({ space, depth }: { space?: string; depth?: string }): string | undefined =>
  space === "cmyk" ? "inks (CMYK)" : depth === "ushort" ? "16 bits" : undefined;

async function examine(source: string, { maxPixels }: LookOptions): Promise<ImageFacts> {
  let bytes: Uint8Array = new Uint8Array();
  try {
    bytes = await readWhole(source, (problem) => new ImageError(source, problem, ""));
    const digest = createHash("sha256").update(bytes).digest("base64");
    const header = await readHeader(source, bytes);
    const { width, height, orientation = 1 } = header;
    const facts = { digest, orientation, stored: { width, height }, colour: colourOf(header) };
    if (width * height > maxPixels)
      return {
        ...facts,
        problem: ["image-oversized", `has ${width}x${height} pixels, over the limit of ${maxPixels}`],
      };
    return { ...facts, thumbnail: await thumbnailOf(bytes) };
  } catch (error) {
    const kind = bytes.length > 0 ? undecodableKind(source, bytes) : undefined;
    if (kind) return { problem: ["image-format", `is ${kind.is}`] };
    const is =
      error instanceof ImageError ? error.message.replace(`${source}: `, "") : `cannot be decoded (${reason(error)})`;
    return { problem: [UNSUPPORTED.test(is) ? "image-format" : "image-corrupt", is] };
  }
}

/** Decodes all of an image, which meets any damage, and makes it small. */
async function thumbnailOf(bytes: Uint8Array): Promise<Uint8Array> {
  const sharp = await loadSharp();
  return await sharp(bytes, { failOn: "truncated", ignoreIcc: true, limitInputPixels: false, autoOrient: true })
    .resize(THUMBNAIL, THUMBNAIL, { fit: "fill" })
    .removeAlpha()
    .greyscale()
    .raw()
    .toBuffer();
}
