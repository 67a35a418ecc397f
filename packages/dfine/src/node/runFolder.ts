import { existsSync } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";

/** A run folder that is missing, or is none. */
export class RunFolderError extends Error {
  override readonly name = "RunFolderError";
}

/** Where everything of a run lies. */
export interface RunFolder {
  readonly path: string;
  /** Resolved configuration. */
  readonly config: string;
  /** Where the data came from, so that the run can go on. */
  readonly data: string;
  /** One row for every epoch. */
  readonly results: string;
  /** One JSON line for every step and epoch, with all loss terms. */
  readonly events: string;
  /** Machine and versions. */
  readonly environment: string;
  readonly report: string;
  /** Weights to use: averaged ones, after the last epoch and at the best AP. */
  readonly last: string;
  readonly best: string;
  /** All that training needs to go on exactly. */
  readonly state: string;
}

function layout(path: string): RunFolder {
  const at = (...parts: string[]) => join(path, ...parts);
  return {
    path,
    config: at("config.yaml"),
    data: at("data.json"),
    results: at("results.csv"),
    events: at("events.jsonl"),
    environment: at("env.json"),
    report: at("report.html"),
    last: at("weights", "last.safetensors"),
    best: at("weights", "best.safetensors"),
    state: at("weights", "state.safetensors"),
  };
}

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
  const isFolder = await stat(run.path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) throw new RunFolderError(`${path}: there is no such run; give the folder of one, as runs/train/NAME`);
  for (const file of [run.config, run.data, run.state])
    if (!existsSync(file))
      throw new RunFolderError(
        `${path}: ${file.slice(run.path.length + 1)} is missing, so the run cannot go on; it ended before its first save, or this is not a run folder`,
      );
  return run;
}
