import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { closest } from "@dfine/tensor";
import { ModelFileError } from "../checkpoint/errors.ts";
import { fetchBytes, isAddress } from "../checkpoint/fetch.ts";
import type { CheckpointOptions } from "../checkpoint/open.ts";
import { exists, isFolder, pathOf, readWhole, statOf } from "./data/onDisk.ts";
import { type CacheOptions, cachedWeights } from "./weights/cachedWeights.ts";
import { RELEASE_NAMES, releaseAddress } from "./weights/releases.ts";

/** Reads a file whole. @throws ModelFileError when it is missing or can't be read */
export const readBytes = (path: string): Promise<Uint8Array> =>
  readWhole(path, (problem, remedy) => new ModelFileError(`${path}: ${problem}. ${remedy}`));

/** Weights in a folder: a run's best ones, or its last where it stopped in its first epoch; those of a model from Hugging Face. */
const OF_RUN = ["best.safetensors", "last.safetensors"];
const IN_FOLDER = [...OF_RUN.map((name) => join("weights", name)), "model.safetensors", ...OF_RUN];

async function weightsPath(path: string): Promise<string> {
  if (!(await isFolder(path))) return path;
  for (const name of IN_FOLDER) if (await exists(join(path, name))) return join(path, name);
  if (await exists(join(path, "weights", "state.safetensors")))
    throw new ModelFileError(
      `${path}: holds the state of a run but no weights, since it stopped in its first epoch; go on with dfine train --resume ${path}, or start a new run`,
    );
  throw new ModelFileError(`${path}: holds no weights (none of ${IN_FOLDER.join(", ")}); give the file itself`);
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
 * Reads weights as users name them: a file, the folder of a run or of a model from Hugging Face, a web address, or the name of
 * official weights, such as n-coco, which are kept in the cache. With the bytes comes what `openCheckpoint` wants to know about
 * them.
 * @throws ModelFileError, FileWriteError
 */
export async function readWeights(
  place: string,
  options: CacheOptions = {},
): Promise<Pick<CheckpointOptions, "configJson" | "processorJson"> & { bytes: Uint8Array; file: string }> {
  const address = releaseAddress(place) ?? place;
  if (/^https?:/i.test(address)) return await cachedWeights(address, options);
  if (isAddress(place)) return { bytes: await fetchBytes(place, options), file: place };
  const file = await weightsPath(pathOf(place));
  const meant = (await exists(file)) ? undefined : closest(place, RELEASE_NAMES);
  if (meant !== undefined)
    throw new ModelFileError(
      `${place}: there is no such file, nor official weights of this name; did you mean ${meant}?`,
    );
  const configJson = await neighbour(file, "config.json");
  const processorJson = await neighbour(file, "preprocessor_config.json");
  return { configJson, processorJson, bytes: await readBytes(file), file };
}
