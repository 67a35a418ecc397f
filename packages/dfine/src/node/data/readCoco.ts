import type { CocoDataset } from "../../data/dataset.ts";
import { DatasetError } from "../../data/errors.ts";
import { parseCoco } from "../../data/parseCoco.ts";
import { readWhole, statOf } from "./onDisk.ts";

/** Longest text that V8 holds in one string, in characters. */
const MAX_TEXT = 0x1fffffe8;

/** Reads and checks a COCO instances file. @throws DatasetError */
export async function readCoco(path: string): Promise<CocoDataset> {
  return parseCoco(await readText(path), path);
}

/** Reads a UTF-8 file of annotations or settings. @throws DatasetError when it is missing, a folder, or over 512 MB */
export async function readText(path: string): Promise<string> {
  await checkTextSize(path);
  return (await readWhole(path, (problem, remedy) => new DatasetError(path, problem, remedy))).toString("utf8");
}

/** Makes sure that a file fits one text. @throws DatasetError */
export async function checkTextSize(path: string): Promise<void> {
  const { size = 0 } = (await statOf(path)) ?? {};
  if (size > MAX_TEXT)
    throw new DatasetError(
      path,
      `has ${size} bytes, more than the ${MAX_TEXT} that fit one string`,
      "Split the annotations, or leave out segmentation masks, which are not used.",
    );
}
