import { realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { ImageError } from "../../data/errors.ts";
import { missingHint, withSeparators } from "./onDisk.ts";

/** Whether a file name is absolute, or leads out of its folder. */
export const leavesFolder = (fileName: string): boolean =>
  /^([\\/]|[A-Za-z]:)/.test(fileName) || fileName.split(/[\\/]/).includes("..") || fileName.includes("\0");

/** Whether a resolved path lies inside a folder. */
export const liesIn = (path: string, folder: string): boolean =>
  path.startsWith(folder.endsWith(sep) ? folder : folder + sep);

/**
 * The file that an annotation names, which must lie inside the image folder: no absolute path, no `..`, no link out.
 * Backslashes separate folders, as on Windows, unless a file is called so.
 * @throws ImageError when it does not, or when folder or file do not exist
 */
export async function resolveInside(root: string, fileName: string): Promise<string> {
  const folder = await realFolder(root);
  if (leavesFolder(fileName))
    throw new ImageError(fileName, `leaves the image folder ${folder}`, "Name images by their path inside the folder.");
  const path = await withSeparators(join(folder, fileName));
  const target = await realpath(path).catch(() => {
    throw new ImageError(path, "does not exist", "Check the image folder and file_name in the annotations.");
  });
  if (!liesIn(target, folder))
    throw new ImageError(
      path,
      `is a link to ${target}, outside the image folder`,
      "Copy the image into the folder, or give the folder that holds the linked files.",
    );
  return target;
}

/** An image folder without links in its path. @throws ImageError when it does not exist */
export async function realFolder(root: string): Promise<string> {
  return await realpath(root).catch(async () => {
    throw new ImageError(root, "does not exist", (await missingHint(root)) ?? "Give the folder that holds the images.");
  });
}
