import { readFile } from "node:fs/promises";
import { basename, dirname, extname, isAbsolute, join, relative, resolve, sep } from "node:path";
import pLimit from "p-limit";
import type { CocoJson } from "../../../data/cocoJson.ts";
import { DatasetError } from "../../../data/errors.ts";
import { cocoDataset } from "../../../data/parseCoco.ts";
import type { SplitName } from "../../../data/splits.ts";
import { parseYoloLabels, type YoloObject, yoloPixels } from "../../../data/yoloText.ts";
import { counted, firstOf } from "../../../describe.ts";
import type { DatasetSplit } from "../datasetParts.ts";
import { alikeButEndings, filesUnder, imageSize, isImageName, UNKNOWN_SIZE } from "../imageFiles.ts";
import { exists, isFolder, missingHint, withSeparators } from "../onDisk.ts";
import { readText } from "../readCoco.ts";
import type { PartName, Recognised } from "./format.ts";
import { findYolo, type YoloFolder } from "./yoloFolder.ts";

/** Files read at the same time. */
const PARALLEL = 32;

/** Reads a data set with labels in YOLO text files. @throws DatasetError naming file and line */
export async function readYolo(place: string, wants: (name: SplitName) => boolean): Promise<Recognised | undefined> {
  const found = await findYolo(place);
  if (!found) return undefined;
  const parts: { [name in PartName]?: DatasetSplit } = {};
  for (const [name, sources] of Object.entries(found.parts) as [PartName, readonly string[]][])
    if (name === "only" || wants(name)) parts[name] = await readPart(sources, found);
  const how = `${found.how} (${basename(found.file)})`;
  return {
    how,
    parts,
    listed: Object.keys(found.parts) as PartName[],
    notes: [...leftOut(found), ...unreadable(parts), ...sharing(parts)],
  };
}

const leftOut = ({ passedOver = [] }: YoloFolder): string[] =>
  passedOver.length === 0 ? [] : [`passed over ${firstOf(passedOver)}: the name tells no part`];

/** What is said of images whose size is not known. */
function unreadable(parts: Recognised["parts"]): string[] {
  const images = Object.values(parts).flatMap(({ dataset }) => dataset.images);
  const names = images.filter(({ width, height }) => width * height === 1).map(({ fileName }) => fileName);
  return names.length === 0 ? [] : [`${counted(names.length, "image")} cannot be read: ${firstOf(names)}`];
}

/** What is said of images that have one label file. */
const sharing = (parts: Recognised["parts"]): string[] =>
  Object.values(parts).flatMap(({ dataset }) => {
    const alike = alikeButEndings(dataset.images.map(({ fileName }) => fileName));
    return alike === undefined ? [] : [`${alike} share one label file: each counts with its objects`];
  });

async function readPart(sources: readonly string[], folder: YoloFolder): Promise<DatasetSplit> {
  const { file, names, keypoints } = folder;
  const { imageRoot, images } = await yoloFiles(sources, folder);
  const read = images.map(({ path, labels, size }) => {
    const objects = labels && parseYoloLabels(labels.text, labels.file, { classes: names.length, keypoints });
    return { path, size: size ?? UNKNOWN_SIZE, objects };
  });
  return { dataset: cocoDataset(toCoco(read, { names, imageRoot }), file), imageRoot };
}

/** An image of YOLO labels, before these are understood; without a size where it cannot be read. */
export interface YoloImage {
  readonly path: string;
  readonly labels: { readonly file: string; readonly text: string } | undefined;
  readonly size: { readonly width: number; readonly height: number } | undefined;
}

/** The images of a part with their labels, and the folder that has them all. @throws DatasetError where there are none */
export async function yoloFiles(
  sources: readonly string[],
  folder: YoloFolder,
): Promise<{ imageRoot: string; images: YoloImage[] }> {
  const { file } = folder;
  const listed = await Promise.all(sources.map((source) => imagesOf(source, folder)));
  const paths = [...new Set(listed.flat())].sort();
  if (paths.length === 0)
    throw new DatasetError(
      file,
      `lists no images: there are none in ${firstOf(sources)}`,
      "Correct the path, or put the images there.",
    );
  const imageRoot = commonFolder(paths);
  const images = await pLimit(PARALLEL).map(paths, async (path): Promise<YoloImage> => {
    const [labels, size] = await Promise.all([labelsOf(path), imageSize(path)]);
    return { path, labels, size };
  });
  if (images.every(({ labels }) => labels === undefined))
    throw new DatasetError(
      file,
      `has no label file for any of the ${paths.length} images in ${imageRoot}; the first would be ${firstOf(labelPaths(paths[0]!), 2)}`,
      "Put labels beside the images, or in a folder labels beside the folder images.",
    );
  return { imageRoot, images };
}

/** Images with their objects as COCO annotations; classes have their numbers for ids. */
function toCoco(
  images: readonly { path: string; size: { width: number; height: number }; objects: YoloObject[] | undefined }[],
  { names, imageRoot }: { names: readonly string[]; imageRoot: string },
): CocoJson {
  const annotations = images.flatMap(({ size, objects = [] }, i) =>
    objects.map(({ label, box }) => {
      const bbox = yoloPixels(box, size);
      return { image_id: i + 1, category_id: label, bbox, area: bbox[2] * bbox[3], iscrowd: 0 as const };
    }),
  );
  return {
    images: images.map(({ path, size }, i) => ({
      id: i + 1,
      file_name: relative(imageRoot, path).replaceAll(sep, "/"),
      ...size,
    })),
    categories: names.map((name, id) => ({ id, name })),
    annotations: annotations.map((one, i) => ({ id: i + 1, ...one })),
  };
}

/** The paths of a source's images: a folder's, or those that a text file lists. @throws DatasetError */
async function imagesOf(source: string, { file, base }: YoloFolder): Promise<string[]> {
  if (await isFolder(source)) return (await filesUnder(source, isImageName)).map((name) => join(source, name));
  if (!(await exists(source)))
    throw new DatasetError(
      file,
      `names ${source}, which does not exist`,
      (await missingHint(source)) ?? "Correct the path.",
    );
  if (extname(source).toLowerCase() !== ".txt")
    throw new DatasetError(
      file,
      `names ${source}, which is neither a folder nor a .txt`,
      "Give the folder of the images, or a .txt that lists them.",
    );
  const lines = (await readText(source)).split(/\r?\n/).flatMap((line) => line.trim() || []);
  return await pLimit(PARALLEL).map(lines, (line) => listedImage(line, [dirname(source), base]));
}

/** An image that a list names: from the list's folder or the data set's, also without the first folder, which tools add. */
async function listedImage(line: string, folders: readonly string[]): Promise<string> {
  if (isAbsolute(line)) return line;
  const given = await withSeparators(line);
  const shorter = given.split("/").slice(1).join("/");
  const candidates = [given, shorter].flatMap((name) =>
    name === "" ? [] : folders.map((folder) => resolve(folder, name)),
  );
  for (const candidate of candidates) if (await exists(candidate)) return candidate;
  return candidates[0]!;
}

/** The longest folder that holds all files. */
function commonFolder(paths: readonly string[]): string {
  let common = dirname(paths[0]!);
  for (const path of paths)
    while (!path.startsWith(common.endsWith(sep) ? common : common + sep)) common = dirname(common);
  return common;
}

/** Where an image's labels may be: under `labels` in place of the last folder `images`, else beside it. */
export function labelPaths(path: string): string[] {
  const own = `${path.slice(0, path.length - extname(path).length)}.txt`;
  const at = own.lastIndexOf(`${sep}images${sep}`);
  return at < 0 ? [own] : [`${own.slice(0, at)}${sep}labels${own.slice(at + `${sep}images`.length)}`, own];
}

async function labelsOf(path: string): Promise<{ file: string; text: string } | undefined> {
  for (const file of labelPaths(path)) {
    try {
      return { file, text: await readFile(file, "utf8") };
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== "ENOENT")
        throw new DatasetError(file, `cannot be read (${message})`, "Check the file and its permissions.");
    }
  }
  return undefined;
}
