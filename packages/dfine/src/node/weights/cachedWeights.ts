import { createHash } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { ModelFileError } from "../../checkpoint/errors.ts";
import { type Answer, download, type FetchOptions, type FirstPart, isBrokenOff } from "../../checkpoint/fetch.ts";
import { parseJson } from "../../parseJson.ts";
import { FileWriteError, writeFileAtomic } from "../checkpointFile.ts";
import { exists, readWhole, statOf } from "../data/onDisk.ts";
import { takeLock } from "../fileLock.ts";
import { webFetch } from "../webFetch.ts";
import { type CachePlace, placeInCache } from "./cacheFolder.ts";

/** How weights are fetched and kept. */
export interface CacheOptions extends FetchOptions {
  /** Folder in which they are kept; default: `cacheFolder()`. */
  readonly cache?: string | undefined;
}

/** What is known of a file in the cache. */
const recordSchema = z.object({
  address: z.string(),
  /** How the server calls the version that a part is of; only where it can go on. */
  validator: z.string().optional(),
  /** Of the whole file, as it first was. */
  sha256: z.string().optional(),
});
type Known = z.infer<typeof recordSchema>;

async function readRecord({ record }: CachePlace, address: string): Promise<Known> {
  const text = await readFile(record, "utf8").catch(() => "");
  return recordSchema.safeParse(parseJson(text)).data ?? { address };
}

const writeRecord = (place: CachePlace, known: Known): Promise<void> =>
  writeFileAtomic(place.record, `${JSON.stringify(known, undefined, 2)}\n`);

/**
 * The bytes of an address, from the cache where they are there, else fetched into it. They must be those that were fetched
 * first. A download that broke off goes on where it stood, of several processes one fetches, and nothing but the cache's folder
 * is written into.
 * @throws ModelFileError, FileWriteError
 */
export async function cachedWeights(
  address: string,
  options: CacheOptions = {},
): Promise<{ bytes: Uint8Array; file: string }> {
  const place = placeInCache(address, options.cache);
  await makeFolder(place.folder);
  if (!(await exists(place.file))) {
    await alone(place, options, async () => {
      if (!(await exists(place.file))) await fetchInto(place, address, options);
    });
  }
  return { bytes: await checked(place, address), file: place.file };
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw new FileWriteError(folder, error as NodeJS.ErrnoException);
  }
}

/** Milliseconds between looks at what another process does. */
const LOOK_EVERY = 100;

/** Does `work` while no other process, and no other call, does it for the same file. @throws ModelFileError when one gets stuck */
async function alone(place: CachePlace, options: CacheOptions, work: () => Promise<void>): Promise<void> {
  const { signal, onProgress, timeout = 30_000 } = options;
  let seen = -1;
  let since = performance.now();
  for (;;) {
    const taken = await takeLock(place.lock);
    if (!("owner" in taken)) break;
    const received = await sizeOf(place.part);
    if (received !== seen) {
      since = performance.now();
      onProgress?.({ received, total: undefined });
    }
    seen = received;
    if (performance.now() - since > timeout)
      throw new ModelFileError(
        `${place.file}: process ${taken.owner.pid} on ${taken.owner.host} downloads it, and has not got on for ${timeout / 1000} s; stop it first. If there is no such process any more, remove ${place.lock}`,
      );
    await sleep(LOOK_EVERY, undefined, { signal }).catch(() => signal?.throwIfAborted());
  }
  try {
    await work();
  } finally {
    await rm(place.lock, { force: true });
  }
}

const sizeOf = async (path: string): Promise<number> => (await statOf(path))?.size ?? 0;

/** How often a download that broke off is tried, and milliseconds between tries, more each time. */
const TRIES = 5;
const PAUSE = 100;

async function fetchInto(place: CachePlace, address: string, options: CacheOptions): Promise<void> {
  const refuse = (problem: string, remedy: string) =>
    new ModelFileError(
      `${address}: ${problem}; ${remedy}. Or fetch this address in another way, and put the file here: ${place.file}`,
    );
  for (let tries = 1; tries <= TRIES; tries++) {
    try {
      if (await fetchPart(place, address, { ...options, refuse })) return await rename(place.part, place.file);
    } catch (error) {
      if (!isBrokenOff(error) || tries === TRIES) throw error;
      await sleep(PAUSE * tries);
    }
  }
  throw refuse("the server sends parts that do not fit together", "try again later");
}

/** Fetches what is missing of a file; whether it is whole now. False: what was there was of no use, and is gone. */
async function fetchPart(
  place: CachePlace,
  address: string,
  options: CacheOptions & { refuse: (problem: string, remedy: string) => Error },
): Promise<boolean> {
  const known = await readRecord(place, address);
  const bytes = await sizeOf(place.part);
  const from: FirstPart | undefined =
    bytes > 0 && known.validator !== undefined ? { bytes, validator: known.validator } : undefined;
  return await download(address, { ...options, from, fetch: webFetch }, async (answer, pieces) => {
    const goesOn = answer.status === 206;
    if (!answer.ok || (goesOn && startOf(answer) !== from?.bytes)) {
      await rm(place.part, { force: true });
      return false;
    }
    await writeRecord(place, { ...known, address, validator: validatorOf(answer) });
    await writePieces(place.part, pieces, goesOn ? "a" : "w");
    return true;
  });
}

/** The first byte of what a server sends of a file: "bytes 100-199/200" begins at 100. */
const startOf = ({ headers }: Answer): number =>
  Number(/^bytes (\d+)-/.exec(headers.get("content-range") ?? "")?.[1] ?? Number.NaN);

/** What tells this version of a file from others, byte by byte: neither weak tags do, nor anything of packed bytes. */
function validatorOf({ headers }: Answer): string | undefined {
  const tag = headers.get("etag");
  if (headers.get("content-encoding") !== null) return undefined;
  return tag !== null && !tag.startsWith("W/") ? tag : (headers.get("last-modified") ?? undefined);
}

/** Whatever of the pieces has come stays in the file. @throws FileWriteError, and what the pieces throw */
async function writePieces(path: string, pieces: AsyncIterable<Uint8Array>, flag: "a" | "w"): Promise<void> {
  const written = async <T>(call: Promise<T>): Promise<T> =>
    call.catch((error: NodeJS.ErrnoException) => {
      throw new FileWriteError(path, error);
    });
  const file = await written(open(path, flag));
  try {
    for await (const piece of pieces) await written(file.writeFile(piece));
    await written(file.sync());
  } finally {
    await file.close();
  }
}

/** The bytes of a file of the cache, as they were first seen. @throws ModelFileError when they are others now */
async function checked(place: CachePlace, address: string): Promise<Uint8Array> {
  const { file, record } = place;
  const bytes = await readWhole(file, (problem, remedy) => new ModelFileError(`${file}: ${problem}. ${remedy}`));
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const known = await readRecord(place, address);
  if (known.sha256 === undefined) await writeRecord(place, { address, sha256 });
  else if (known.sha256 !== sha256)
    throw new ModelFileError(
      `${file}: is not what was fetched first from ${address} (SHA-256 ${sha256}, then ${known.sha256}); it was damaged or replaced. Remove ${file} to fetch it again, and ${record} too if it has rightly changed`,
    );
  return bytes;
}
