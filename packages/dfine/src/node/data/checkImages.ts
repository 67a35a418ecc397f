import { dirname, join } from "node:path";
import pLimit from "p-limit";
import { DatasetError, ImageError } from "../../data/errors.ts";
import { firstOf } from "../../describe.ts";
import type { DatasetSplit } from "./datasetParts.ts";
import { exists, missingHint, withSeparators } from "./onDisk.ts";
import { realFolder, resolveInside } from "./paths.ts";

/** Files looked for at the same time. */
const PARALLEL = 64;

/**
 * Makes sure that every image of a part is there, before hours of training come to the first that is not.
 * @throws DatasetError saying how many are missing, and which; ImageError for a name that leaves the folder
 */
export async function checkImages({ dataset, imageRoot }: DatasetSplit): Promise<void> {
  const { images, file } = dataset;
  const folder = await realFolder(imageRoot);
  const found = await pLimit(PARALLEL).map(images, ({ fileName }) => isThere(folder, fileName));
  const missing = images.flatMap(({ fileName }, i) => (found[i] ? [] : [fileName]));
  if (missing.length === 0) return;
  throw new DatasetError(
    file,
    `lists ${images.length} images, of which ${missing.length} ${missing.length === 1 ? "is" : "are"} not in ${imageRoot}: ${firstOf(missing)}`,
    await remedy(folder, missing[0]!),
  );
}

/** @throws ImageError for a name that leaves the folder */
async function isThere(folder: string, fileName: string): Promise<boolean> {
  try {
    await resolveInside(folder, fileName);
    return true;
  } catch (error) {
    if (error instanceof ImageError && error.message.includes("does not exist")) return false;
    throw error;
  }
}

async function remedy(folder: string, fileName: string): Promise<string> {
  const parent = dirname(folder);
  if (await exists(await withSeparators(join(parent, fileName))))
    return `file_name starts with the folder's own name: give ${parent} as the image folder.`;
  const hint = await missingHint(join(folder, fileName));
  if (hint) return `${hint} Correct file_name in the annotations, or rename the files.`;
  return "Check the image folder, from which file_name starts; or take the missing images out of the annotations.";
}
