import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ModelFileError } from "../checkpoint/errors.ts";
import { type FetchOptions, fetchBytes, isAddress } from "../checkpoint/fetch.ts";
import type { CheckpointOptions } from "../checkpoint/open.ts";
import { exists, isFolder, readWhole, statOf } from "./data/onDisk.ts";

/** Reads a file whole. @throws ModelFileError when it is missing or can't be read */
export const readBytes = (path: string): Promise<Uint8Array> =>
  readWhole(path, (problem, remedy) => new ModelFileError(`${path}: ${problem}. ${remedy}`));

/** Weights in a folder: a run's best ones, or its last where it stopped in its first epoch; those of a model from Hugging Face. */
const IN_FOLDER = [join("weights", "best.safetensors"), join("weights", "last.safetensors"), "model.safetensors"];

async function weightsPath(path: string): Promise<string> {
  if (!(await isFolder(path))) return path;
  for (const name of IN_FOLDER) if (await exists(join(path, name))) return join(path, name);
  if (await exists(join(path, "weights", "state.safetensors")))
    throw new ModelFileError(
      `${path}: holds the state of a run but no weights, since it stopped in its first epoch; go on with dfine train --resume ${path}, or start a new run`,
    );
  throw new ModelFileError(`${path}: holds no weights (neither ${IN_FOLDER.join(" nor ")}); give the file itself`);
}

/** Largest configuration that is looked into, bytes. */
const MAX_CONFIG = 10_000_000;

/** The text of a file beside another, if there is one. */
async function neighbour(path: string, name: string): Promise<string | undefined> {
  const config = join(dirname(path), name);
  const found = await statOf(config);
  return found?.isFile() && found.size <= MAX_CONFIG ? await readFile(config, "utf8") : undefined;
}

/**
 * Reads weights as users name them: a file, the folder of a run or of a model from Hugging Face, or a web address. With
 * the bytes comes what `openCheckpoint` wants to know about them.
 * @throws ModelFileError
 */
export async function readWeights(
  place: string,
  options: FetchOptions = {},
): Promise<Pick<CheckpointOptions, "configJson" | "processorJson"> & { bytes: Uint8Array; file: string }> {
  if (isAddress(place)) return { bytes: await fetchBytes(place, options), file: place };
  const file = await weightsPath(place.startsWith("file:") ? fileURLToPath(place) : place);
  const configJson = await neighbour(file, "config.json");
  const processorJson = await neighbour(file, "preprocessor_config.json");
  return { configJson, processorJson, bytes: await readBytes(file), file };
}
