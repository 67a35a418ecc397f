import { readFile, rename } from "node:fs/promises";
import { relative } from "node:path";
import type { Config } from "../config/config.ts";
import { readTrainState, type TrainStateValues } from "../train/stateFile.ts";
import { checkSameConfig, parseRunConfig } from "./runConfig.ts";
import { type RunFolder, RunFolderError } from "./runFolder.ts";

/** What a run needs to go on: for `Trainer.restore`. */
export interface SavedRun {
  readonly config: Config;
  readonly state: Uint8Array;
  /** What the user should know. */
  readonly notes: readonly string[];
}

interface Read {
  readonly bytes: Uint8Array;
  readonly values: TrainStateValues;
}

/** A state that is whole; the reason where it is not. */
async function tryToRead(path: string): Promise<Read | { readonly problem: string; readonly isThere: boolean }> {
  try {
    const bytes = await readFile(path);
    return { bytes, values: readTrainState(bytes, path) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // What the system refuses to read is not damaged, and stays where it is.
    if (code !== undefined && code !== "ENOENT") throw error;
    const isThere = code !== "ENOENT";
    return { isThere, problem: isThere ? (error as Error).message : `${path}: is not there` };
  }
}

/**
 * Reads a run's configuration and its last saved state; where that is damaged, the one before it, which is said. The damaged
 * one is put aside, so that it never takes the place of the good one.
 * @throws RunFolderError where both are damaged, or the configuration is not the one that the state was trained with
 */
export async function readRun(run: RunFolder): Promise<SavedRun> {
  const config = parseRunConfig(await readFile(run.config, "utf8"), run.config);
  const last = await tryToRead(run.state);
  const found = "bytes" in last ? last : await tryToRead(run.previous);
  if (!("bytes" in found)) {
    const problems = [last, found].flatMap((one) => ("problem" in one ? [one.problem] : []));
    throw new RunFolderError(
      `${run.path}: no saved state is whole (${problems.join("; ")}); start a new run from its weights: dfine train --weights ${run.path}`,
    );
  }
  checkSameConfig(config, found.values.config, run.config);
  if ("bytes" in last) return { config, state: last.bytes, notes: [] };
  if (last.isThere) await rename(run.state, `${run.state}.damaged`);
  const { epoch, step } = found.values.progress;
  const problem = last.isThere ? last.problem : `${run.state}: is not there`;
  return {
    ...{ config, state: found.bytes },
    notes: [
      `${problem}; going on from ${relative(run.path, run.previous)}, which is whole: step ${step}, epoch ${epoch + 1}`,
    ],
  };
}

/** The best state of stage 1; undefined where none was saved. @throws RunFolderError where it is damaged */
export async function readStage1({ path, stage1 }: RunFolder): Promise<Uint8Array | undefined> {
  const found = await tryToRead(stage1);
  if ("bytes" in found) return found.bytes;
  if (!found.isThere) return undefined;
  throw new RunFolderError(
    `stage 2 begins with the best state of stage 1, but ${found.problem}. Remove it, and stage 2 begins with the last weights of stage 1: dfine train --resume ${path}`,
  );
}
