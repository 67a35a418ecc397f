import { randomUUID } from "node:crypto";
import { constants, readFileSync } from "node:fs";
import { copyFile, link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import * as z from "zod";
import { parseJson } from "../parseJson.ts";
import { FileWriteError } from "./checkpointFile.ts";
import { type RunFolder, RunFolderError } from "./runFolder.ts";

const ownerSchema = z.object({
  pid: z.int(),
  host: z.string(),
  /** When the process began, as Linux counts it: tells it from a later one with its number. Elsewhere empty. */
  began: z.string(),
});
type Owner = z.infer<typeof ownerSchema>;

function beganAt(pid: number): string {
  try {
    // The name, in parentheses, may hold spaces; the 20th field after it is the start.
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

const self = (): Owner => ({ pid: process.pid, host: hostname(), began: beganAt(process.pid) });

/** Whether the process still runs. Of those on other machines it is not known, so they count. */
function isRunning({ pid, host, began }: Owner): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  return began === beganAt(pid);
}

/** What is in the lock's file; undefined where there is none, null for what no lock holds. */
async function readOwner(path: string): Promise<Owner | null | undefined> {
  try {
    return ownerSchema.safeParse(parseJson(await readFile(path, "utf8"))).data ?? null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Makes the lock's file, whole, unless there is one. */
async function tryToTake(path: string): Promise<boolean> {
  const own = `${path}.${randomUUID()}`;
  try {
    await writeFile(own, `${JSON.stringify(self())}\n`);
    await link(own, path).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code === "EEXIST") throw error;
      // Some file systems have no links.
      await copyFile(own, path, constants.COPYFILE_EXCL);
    });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw new FileWriteError(path, error as NodeJS.ErrnoException);
  } finally {
    await rm(own, { force: true });
  }
}

/** A run folder that this process has for itself. */
export interface RunLock {
  /** What was found of a process that did not end in order. */
  readonly note: string | undefined;
  /** Leaves the folder to others. */
  readonly release: () => Promise<void>;
}

/**
 * Takes a run folder for this process, so that no two write into it at once. A lock whose process runs no more is taken
 * over. @throws RunFolderError while another process has it, FileWriteError
 */
export async function lockRun({ path, lock }: Pick<RunFolder, "path" | "lock">): Promise<RunLock> {
  let note: string | undefined;
  while (!(await tryToTake(lock))) {
    const owner = await readOwner(lock);
    if (owner === undefined) continue;
    if (owner && isRunning(owner))
      throw new RunFolderError(
        `${path}: process ${owner.pid} on ${owner.host} is at work in this run; wait for it, or stop it first. If there is no such process any more, remove ${lock}`,
      );
    // Of several that find it stale one moves it away; another may have taken its place before.
    const away = `${lock}.${randomUUID()}`;
    await rename(lock, away).catch(() => undefined);
    const moved = await readOwner(away);
    if (moved && isRunning(moved)) await rename(away, lock);
    await rm(away, { force: true });
    note = "the process that was at work in this run did not end in order; going on from the last saved state";
  }
  return { note, release: () => rm(lock, { force: true }) };
}
