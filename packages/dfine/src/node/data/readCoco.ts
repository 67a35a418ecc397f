import { stat } from "node:fs/promises";
import type { CocoDataset } from "../../data/dataset.ts";
import { DatasetError } from "../../data/errors.ts";
import { parseCoco } from "../../data/parseCoco.ts";
import { missingHint, readWhole } from "./onDisk.ts";

/** Longest text that V8 holds in one string, in characters. */
const MAX_TEXT = 0x1fffffe8;

/** Reads and checks a COCO instances file. @throws DatasetError */
export async function readCoco(path: string): Promise<CocoDataset> {
  return parseCoco(await readText(path), path);
}

/** Reads a UTF-8 file of annotations or settings. @throws DatasetError when it is missing, a folder, or over 512 MB */
export async function readText(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > MAX_TEXT)
      throw new DatasetError(
        path,
        `has ${size} bytes, more than the ${MAX_TEXT} that fit one string`,
        "Split the annotations, or leave out segmentation masks, which are not used.",
      );
    return (await readWhole(path)).toString();
  } catch (error) {
    if (error instanceof DatasetError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT")
      throw new DatasetError(path, "does not exist", (await missingHint(path)) ?? "Check the path.");
    throw new DatasetError(path, `cannot be read (${message})`, "Give a readable file.");
  }
}
