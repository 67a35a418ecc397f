import { rm } from "node:fs/promises";
import { takeLock } from "./fileLock.ts";
import { type RunFolder, RunFolderError } from "./runFolder.ts";

/** A run folder that this process has for itself. */
export interface RunLock {
  /** What was found of a process that did not end in order. */
  readonly note: string | undefined;
  /** Leaves the folder to others. */
  readonly release: () => Promise<void>;
}

const TAKEN_OVER = "the process that was at work in this run did not end in order; going on from the last saved state";

/**
 * Takes a run folder for this process, so that no two write into it at once. A lock whose process runs no more is taken
 * over. @throws RunFolderError while another process has it, FileWriteError
 */
export async function lockRun({ path, lock }: Pick<RunFolder, "path" | "lock">): Promise<RunLock> {
  const taken = await takeLock(lock);
  if ("owner" in taken)
    throw new RunFolderError(
      `${path}: process ${taken.owner.pid} on ${taken.owner.host} is at work in this run; wait for it, or stop it first. If there is no such process any more, remove ${lock}`,
    );
  return { note: taken.takenOver ? TAKEN_OVER : undefined, release: () => rm(lock, { force: true }) };
}
