import { randomUUID } from "node:crypto";
import { constants, readFileSync } from "node:fs";
import { copyFile, link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import * as z from "zod";
import { parseJson } from "../parseJson.ts";
import { FileWriteError } from "./checkpointFile.ts";

const ownerSchema = z.object({
  pid: z.int(),
  host: z.string(),
  /** When the process began, as Linux counts it: tells it from a later one with its number. Elsewhere empty. */
  began: z.string(),
});

/** The process that has a lock. */
export type Owner = z.infer<typeof ownerSchema>;

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

/**
 * Takes a lock, a file, for this process, or tells which process at work has it. A lock whose process runs no more is taken
 * over. Removing the file gives it back. @throws FileWriteError
 */
export async function takeLock(path: string): Promise<{ takenOver: boolean } | { owner: Owner }> {
  let takenOver = false;
  while (!(await tryToTake(path))) {
    const owner = await readOwner(path);
    if (owner === undefined) continue;
    if (owner && isRunning(owner)) return { owner };
    // Of several that find it stale one moves it away; another may have taken its place before.
    const away = `${path}.${randomUUID()}`;
    await rename(path, away).catch(() => undefined);
    const moved = await readOwner(away);
    if (moved && isRunning(moved)) await rename(away, path);
    await rm(away, { force: true });
    takenOver = true;
  }
  return { takenOver };
}
