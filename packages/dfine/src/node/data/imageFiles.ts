import { readdir } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";
import { loadSharp } from "../optional.ts";

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

/** An image's width and height as people see it, turned as EXIF says; undefined for a file that cannot be read. */
export async function imageSize(path: string): Promise<{ width: number; height: number } | undefined> {
  const sharp = await loadSharp();
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
