import { readdir } from "node:fs/promises";
import { resolve } from "node:path";
import { DatasetError } from "../data/errors.ts";
import { liesIn } from "./data/paths.ts";

/**
 * Makes sure that a folder which is to be written is new or empty, and does not lie in the data that it is made of, where
 * that is one place. @throws DatasetError
 */
export async function checkNewFolder(folder: string, data?: string): Promise<void> {
  const files = await readdir(folder).catch(({ code }: NodeJS.ErrnoException) => (code === "ENOENT" ? [] : undefined));
  if (files?.length !== 0)
    throw new DatasetError(folder, "is there already, and nothing is written over", "Give a new or an empty folder.");
  if (data !== undefined && liesIn(resolve(folder), resolve(data)))
    throw new DatasetError(folder, `lies in the data itself (${data})`, "Give a folder beside it.");
}
