import { readdir } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";
import { group } from "d3-array";
import { firstOf } from "../../describe.ts";
import { loadSharp } from "../optional.ts";
import { specialFile } from "./onDisk.ts";

/** Endings of images, also of those that cannot be decoded here, which is said when they are met. */
const IMAGE_NAME = /\.(jpe?g|jpe|jfif|png|webp|gif|tiff?|avif|bmp|heic|heif|mpo|dng)$/i;

/** Whether a file's name is that of an image, and not one that systems put into folders by themselves. */
export const isImageName = (name: string): boolean => IMAGE_NAME.test(name) && !basename(name).startsWith(".");

/** Paths of the files under a folder whose name `takes` accepts, from there, with "/", sorted; none where there is no folder. */
export async function filesUnder(folder: string, takes: (name: string) => boolean): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return found
    .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && takes(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll(sep, "/"))
    .sort();
}

/** A file's path without the ending of its name. */
export const stemOf = (file: string): string => file.replace(/\.[^./]*$/, "");

/** Files of one folder whose names differ in their endings alone, so that labels that go by names are those of all of them; undefined without. */
export function alikeButEndings(files: readonly string[]): string | undefined {
  const alike = [...group(files, stemOf).values()].filter((same) => same.length > 1);
  return alike.length === 0 ? undefined : firstOf(alike.map((same) => same.join(" and ")));
}

/** An image's width and height as people see it, turned as EXIF says; undefined for a file that cannot be read. */
export async function imageSize(path: string): Promise<{ width: number; height: number } | undefined> {
  const sharp = await loadSharp();
  if (await specialFile(path)) return undefined;
  try {
    const { width, height, orientation = 1 } = await sharp(path, { limitInputPixels: false }).metadata();
    return orientation >= 5 ? { width: height, height: width } : { width, height };
  } catch {
    return undefined;
  }
}

/**
 * What stands for the size of an image that cannot be read: it keeps its place in the data, and loaders leave it out and say
 * so as of any damaged image.
 */
export const UNKNOWN_SIZE = { width: 1, height: 1 } as const;
