import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { ModelFileError } from "../modelFile.ts";

/** Reads a file whole. @throws ModelFileError when it is missing or can't be read */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const problem = code === "ENOENT" ? "does not exist; check the path" : `cannot be read (${message})`;
    throw new ModelFileError(`${path}: ${problem}`);
  }
}

/** A file of weights, given itself or by its run folder, whose best weights it then is. */
export async function weightsPath(path: string): Promise<string> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  return isFolder ? join(path, "weights", "best.safetensors") : path;
}
