import type { Stats } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** A way in which programs write one name differently. */
interface Spelling {
  readonly differs: string;
  /** The same text for all spellings. */
  readonly plain: (name: string) => string;
}

const decoded = (name: string): string => {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
};

const SPELLINGS: readonly Spelling[] = [
  { differs: "in upper and lower case", plain: (name) => name.toLowerCase() },
  { differs: "in how Unicode writes its accents (NFC and NFD)", plain: (name) => name.normalize("NFC") },
  { differs: "in percent-encoding (as %20 for a space)", plain: decoded },
  { differs: "in its separators (backslashes)", plain: (name) => name.replaceAll("\\", "/") },
];
/** The same text for all spellings of a name. */
export const plainest = (name: string, spellings = SPELLINGS): string =>
  spellings.reduceRight((text, { plain }) => plain(text), name);

/** The path that a person means: a `file:` address as what it names. One that names nothing on this machine stays as it is. */
export function pathOf(place: string): string {
  if (!/^file:/i.test(place)) return place;
  try {
    return fileURLToPath(place);
  } catch {
    return place;
  }
}

export const statOf = (path: string): Promise<Stats | undefined> => stat(path).catch(() => undefined);
export const exists = async (path: string): Promise<boolean> => (await statOf(path)) !== undefined;
export const isFolder = async (path: string): Promise<boolean> => (await statOf(path))?.isDirectory() === true;

/**
 * What a path is that is neither a file nor a folder, and might never end or never begin; undefined for others. Pipes that a
 * shell opens, as for `<(command)`, count as files.
 */
export async function specialFile(path: string): Promise<string | undefined> {
  const found = await statOf(path);
  if (found?.isFIFO() && !path.startsWith("/dev/")) return "a named pipe";
  if (found?.isSocket()) return "a socket";
  return found?.isCharacterDevice() || found?.isBlockDevice() ? "a device" : undefined;
}

/** Reads a file whole. @throws what `refuse` makes, where it is missing, cannot be read, or is no file */
export async function readWhole(path: string, refuse: (problem: string, remedy: string) => Error): Promise<Buffer> {
  try {
    const special = await specialFile(path);
    if (special !== undefined) throw new Error(`it is ${special}, not a file`);
    return await readFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw refuse("does not exist", (await missingHint(path)) ?? "Check the path.");
    throw refuse(`cannot be read (${message})`, "Check the file and its permissions.");
  }
}

/** The path under which a file is there whose name is spelt in another way; undefined where there is none. */
async function onDisk(path: string): Promise<string | undefined> {
  if (await exists(path)) return path;
  const parent = dirname(path);
  const folder = parent === path ? undefined : await onDisk(parent);
  if (folder === undefined) return undefined;
  const wanted = plainest(basename(path));
  const name = (await readdir(folder).catch(() => [])).find((one) => plainest(one) === wanted);
  return name === undefined ? undefined : join(folder, name);
}

/** What a missing file is called on disk, as a sentence, where only the spelling differs; undefined where it is not there. */
export async function missingHint(given: string): Promise<string | undefined> {
  const path = normalize(given).replace(/(?<=.)[\\/]+$/, "");
  const written = decoded(path).replaceAll("\\", "/");
  const found = (await onDisk(path)) ?? (written.includes("..") ? undefined : await onDisk(written));
  if (found === undefined) return undefined;
  if (found === path) return (await exists(path)) ? undefined : `${found} is a link to something that does not exist.`;
  return `On disk it is called ${found}: the names differ ${spellingDifference(path, found)}.`;
}

/** In what two spellings of a name differ, as the end of a sentence. */
export function spellingDifference(path: string, found: string): string {
  const differ = (spellings: readonly Spelling[]) => plainest(path, spellings) !== plainest(found, spellings);
  const needed = SPELLINGS.filter((one) => differ(SPELLINGS.filter((other) => other !== one)));
  const kinds = needed.length > 0 ? needed : SPELLINGS.filter((one) => !differ([one])).slice(0, 1);
  return kinds.map(({ differs }) => differs).join(" and ");
}

/** A path as programs on Windows write it, with the separators of this system; as it is where a file is called so. */
export async function withSeparators(path: string): Promise<string> {
  if (sep === "\\" || !path.includes("\\") || (await exists(path))) return path;
  return path.replaceAll("\\", "/");
}
