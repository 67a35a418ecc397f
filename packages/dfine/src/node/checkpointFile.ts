import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { appendFile, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

/** A file that could not be written; `code` is the system's. */
export class FileWriteError extends Error {
  override readonly name = "FileWriteError";
  readonly code: string;

  constructor(path: string, cause: Error & { readonly code?: string | undefined }) {
    const { code = "", message } = cause;
    const [fact, remedy] = REASONS[code] ?? [message, "Check the folder."];
    super(`${path}: cannot be written, ${fact}. What was there before is untouched. ${remedy}`, { cause });
    this.code = code;
  }
}

const REASONS: Readonly<Record<string, readonly [fact: string, remedy: string]>> = {
  ENOSPC: ["the disk is full", "Free some space, or choose another disk."],
  EDQUOT: ["your share of the disk is used up", "Free some space, or choose another disk."],
  EFBIG: ["it is larger than files may be here", "Raise the limit (ulimit -f), or choose another disk."],
  EROFS: ["the disk is read-only", "Choose another folder."],
  EACCES: ["you may not write there", "Change the folder's permissions, or choose another folder."],
  EPERM: ["you may not write there", "Change the folder's permissions, or choose another folder."],
  ENAMETOOLONG: ["its name is longer than names may be here", "Choose a shorter one."],
  ENOENT: ["its folder does not exist", "Make the folder, or choose another one."],
};

/**
 * Writes a file so that a reader, or the next start after a crash at any moment, finds either the old bytes or the new
 * ones: into a temporary file beside it, to the disk, then over the old name. The old file stays under the name `previous`,
 * where one is given; a crash between the two may leave it there alone.
 * @throws FileWriteError, the old file as it was; what `data` throws where it comes piece by piece
 */
export async function writeFileAtomic(
  path: string,
  data: Uint8Array | string | AsyncIterable<string>,
  previous?: string,
): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${randomUUID()}.tmp`);
  try {
    const file = await open(temporary, "wx");
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    if (previous !== undefined && existsSync(path)) await rename(path, previous);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    // What `data` throws comes from no call of the system.
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new FileWriteError(path, error as NodeJS.ErrnoException);
  }
  await syncFolder(folder);
}

const TEMPORARY = /^\..*\.tmp$/;

/** Removes what processes that were killed while they wrote have left in a folder. */
export async function removeTemporaries(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (TEMPORARY.test(name)) await rm(join(folder, name), { force: true });
}

/** Adds to the end of a file. @throws FileWriteError */
export async function appendTo(path: string, data: Uint8Array | string): Promise<void> {
  try {
    await appendFile(path, data);
  } catch (error) {
    throw new FileWriteError(path, error as NodeJS.ErrnoException);
  }
}

/** Puts a rename on the disk. Windows has no such call for folders and needs none. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
