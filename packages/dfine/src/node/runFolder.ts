import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { isFolder } from "./data/onDisk.ts";

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
    /** Machine and versions. */
    environment: join(path, "env.json"),
    report: join(path, "report.html"),
    /** Weights to use: averaged ones, after the last epoch and at the best AP. */
    last: join(weights, "last.safetensors"),
    best: join(weights, "best.safetensors"),
    /** All that training needs to go on exactly. */
    state: join(weights, "state.safetensors"),
  };
}

/** Where everything of a run lies. @interface */
export type RunFolder = Readonly<ReturnType<typeof layout>>;

/**
 * Makes the folder `out/mode/name`; when that is taken, `name2`, `name3`, … Nothing is ever overwritten, not even by a
 * run that starts at the same moment.
 */
export async function createRunFolder(out: string, mode: string, name: string): Promise<RunFolder> {
  if (!/^[\p{L}\p{N}._-]+$/u.test(name) || /^\.+$/.test(name))
    throw new RunFolderError(
      `run name ${JSON.stringify(name)} is not a folder name; use letters, digits, ".", "_" and "-"`,
    );
  const parent = resolve(out, mode);
  await makeFolder(parent, { recursive: true });
  for (let i = 1; ; i++) {
    const path = join(parent, i === 1 ? name : `${name}${i}`);
    if (!(await makeFolder(path))) continue;
    await makeFolder(join(path, "weights"));
    return layout(path);
  }
}

/** False when something of that name is there already. @throws RunFolderError */
async function makeFolder(path: string, options: { recursive?: boolean } = {}): Promise<boolean> {
  try {
    await mkdir(path, options);
    return true;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && !options.recursive) return false;
    throw new RunFolderError(`${path}: this folder cannot be made (${message}); choose another place with --out`);
  }
}

/** The folder of an earlier run that can go on. @throws RunFolderError */
export async function openRunFolder(path: string): Promise<RunFolder> {
  const run = layout(resolve(path));
  if (!(await isFolder(run.path)))
    throw new RunFolderError(`${path}: there is no such run; give the folder of one, as runs/train/NAME`);
  for (const file of [run.config, run.data, run.state])
    if (!existsSync(file))
      throw new RunFolderError(
        `${path}: ${file.slice(run.path.length + 1)} is missing, so the run cannot go on; it ended before its first save, or this is not a run folder`,
      );
  return run;
}
