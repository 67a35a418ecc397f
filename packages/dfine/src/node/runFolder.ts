import { constants, existsSync } from "node:fs";
import { access, mkdir } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { isFolder, missingHint, statOf } from "./data/onDisk.ts";

/** A run folder that is missing, or is none. */
export class RunFolderError extends Error {
  override readonly name = "RunFolderError";
}

function layout(path: string) {
  const weights = join(path, "weights");
  return {
    path,
    /** Resolved configuration. */
    config: join(path, "config.yaml"),
    /** Where the data came from, so that the run can go on. */
    data: join(path, "data.json"),
    /** One row for every epoch. */
    results: join(path, "results.csv"),
    /** One JSON line for every step and epoch, with all loss terms. */
    events: join(path, "events.jsonl"),
    /** The same for TensorBoard, which is given the run's folder or one above it. */
    tensorBoard: join(path, "tensorboard"),
    /** Machine and versions. */
    environment: join(path, "env.json"),
    report: join(path, "report.html"),
    /** Weights to use: averaged ones, after the last epoch and at the best AP. */
    last: join(weights, "last.safetensors"),
    best: join(weights, "best.safetensors"),
    /** All that training needs to go on exactly, as it was saved last, and the time before. */
    state: join(weights, "state.safetensors"),
    previous: join(weights, "state.previous.safetensors"),
    /** The state after the best epoch of stage 1, from which stage 2 begins. */
    stage1: join(weights, "stage1.safetensors"),
    /** There while a process writes into the folder. */
    lock: join(path, "run.lock"),
  };
}

/** Where everything of a run lies. @interface */
export type RunFolder = Readonly<ReturnType<typeof layout>>;

/**
 * Makes the folder `out/mode/name`; when that is taken, `name2`, `name3`, … Nothing is ever overwritten, not even by a
 * run that starts at the same moment. @throws RunFolderError
 */
export const createRunFolder = async (out: string, mode: string, name: string): Promise<RunFolder> =>
  await (await planRunFolder(out, mode, name))();

/** Makes sure that `createRunFolder` can do its work, without making anything, and gives it as a call. @throws RunFolderError */
export async function planRunFolder(out: string, mode: string, name: string): Promise<() => Promise<RunFolder>> {
  if (!/^[\p{L}\p{N}._-]+$/u.test(name) || /^\.+$/.test(name))
    throw new RunFolderError(
      `run name ${JSON.stringify(name)} is not a folder name; use letters, digits, ".", "_" and "-"`,
    );
  const parent = resolve(out, mode);
  await checkPlace(parent);
  return async () => {
    await makeFolder(parent);
    for (let i = 1; ; i++) {
      const path = join(parent, i === 1 ? name : `${name}${i}`);
      if (await makeNew(path)) return layout(path);
    }
  };
}

/** @throws RunFolderError unless the nearest folder that there is may be written to */
async function checkPlace(path: string): Promise<void> {
  const found = await statOf(path);
  const parent = dirname(path);
  if (!found && parent !== path) return await checkPlace(parent);
  if (found && !found.isDirectory()) throw refused(path, "there is a file of that name");
  await access(path, constants.W_OK).catch((error: Error) => {
    throw refused(path, error.message);
  });
}

const refused = (path: string, reason: string) =>
  new RunFolderError(`${path}: no folder can be made here (${reason}); choose another place with --out`);

/**
 * Makes a folder, and those above it, where there is none. (Node's own recursive `mkdir` never ends where the system lets
 * nobody make any, as in /proc.) @throws RunFolderError
 */
export async function makeFolder(path: string): Promise<void> {
  if (await isFolder(path)) return;
  if (dirname(path) !== path) await makeFolder(dirname(path));
  await makeNew(path);
}

/** False when something of that name is there already. @throws RunFolderError */
async function makeNew(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    throw refused(path, message);
  }
}

/** The folder of an earlier run that can go on. @throws RunFolderError */
export async function openRunFolder(path: string): Promise<RunFolder> {
  const run = layout(resolve(path));
  if (!(await isFolder(run.path)))
    throw new RunFolderError(
      `${path}: there is no such run. ${(await missingHint(path)) ?? "Give the folder of one, as runs/train/NAME"}`,
    );
  const state = existsSync(run.state) ? run.state : run.previous;
  for (const file of [run.config, run.data, state])
    if (!existsSync(file))
      throw new RunFolderError(
        `${path}: ${relative(run.path, file)} is missing, so the run cannot go on; it ended before its first save, or this is not a run folder`,
      );
  return run;
}
