import { readdir } from "node:fs/promises";
import { basename, extname, isAbsolute, join, sep } from "node:path";
import { glob, isDynamicPattern } from "tinyglobby";
import { counted, firstOf } from "../../describe.ts";
import { missingHint, pathOf, statOf } from "../data/onDisk.ts";
import { isWebAddress } from "../data/readImage.ts";
import { isVideoName } from "../video/videoFrames.ts";

const IMAGE_NAME = /\.(jpe?g|jpe|jfif|png|webp|gif|tiff?|avif)$/i;
/** What systems put into folders by themselves, of which nothing is said. */
const SYSTEM_NAME = /^(\.|Thumbs\.db$|desktop\.ini$)/i;
const FOLDER = "folder";
/** Kinds shown of the files that are passed over. */
const KINDS = 5;

/** Images and videos that someone named, and what was found beside them. */
export interface Sources {
  /** Paths and web addresses. */
  readonly files: string[];
  /** Other files and folders, where a folder or a pattern was given. */
  readonly passedOver: string[];
}

/**
 * Files and web addresses as given; folders as the images and videos in them, by name; patterns such as `photos/*.jpg` as
 * what they match. @throws what `refuse` makes of a message, where something is not there, or holds no images
 */
export async function findSources(given: readonly string[], refuse: (message: string) => Error): Promise<Sources> {
  const all: Sources = { files: [], passedOver: [] };
  for (const place of given) {
    const { files, passedOver } = await sourcesAt(place, refuse);
    all.files.push(...files);
    all.passedOver.push(...passedOver);
  }
  return all;
}

async function sourcesAt(given: string, refuse: (message: string) => Error): Promise<Sources> {
  if (isWebAddress(given)) {
    if (isVideoName(new URL(given).pathname))
      throw refuse(`${given}: is the address of a video; videos are read from files: download it first`);
    return { files: [given], passedOver: [] };
  }
  const place = pathOf(given);
  const found = await statOf(place);
  if (found?.isDirectory()) return await inFolder(place, refuse);
  if (found) return { files: [place], passedOver: [] };
  if (isDynamicPattern(place)) return await matching(place, refuse);
  throw refuse(`${place}: there is no such file or folder. ${(await missingHint(place)) ?? ""}`.trim());
}

const isRead = (name: string): boolean => IMAGE_NAME.test(name) || isVideoName(name);

async function inFolder(path: string, refuse: (message: string) => Error): Promise<Sources> {
  const inside = (await readdir(path, { withFileTypes: true }))
    .filter(({ name }) => !SYSTEM_NAME.test(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const files = inside.filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && isRead(entry.name));
  const passedOver = inside
    .filter((entry) => !files.includes(entry))
    .map((entry) => join(path, entry.name, entry.isDirectory() ? "/" : ""));
  if (files.length === 0) throw nothingRead(`${path}: holds no images`, passedOver, refuse);
  return { files: files.map(({ name }) => join(path, name)), passedOver };
}

async function matching(pattern: string, refuse: (message: string) => Error): Promise<Sources> {
  const matches = (await glob(pattern, { expandDirectories: false, absolute: isAbsolute(pattern) })).filter(
    (path) => !SYSTEM_NAME.test(basename(path)),
  );
  const files = matches.filter(isRead).sort();
  const passedOver = matches.filter((path) => !isRead(path)).sort();
  if (files.length === 0) throw nothingRead(`${pattern}: matches no images`, passedOver, refuse);
  return { files, passedOver };
}

const nothingRead = (problem: string, others: readonly string[], refuse: (message: string) => Error): Error =>
  refuse(others.length > 0 ? `${problem}; ${passedOverText(others)}` : problem);

/** "passed over 3 files or folders (2 .heic, 1 without an ending): a.heic, …". */
export function passedOverText(paths: readonly string[]): string {
  const kinds = new Map<string, number>();
  for (const path of paths) {
    const kind = path.endsWith(sep) ? FOLDER : extname(path).toLowerCase() || "without an ending";
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const counts = [...kinds].sort((a, b) => b[1] - a[1]);
  const others = counts.splice(KINDS).reduce((sum, [, count]) => sum + count, 0);
  if (others > 0) counts.push(["of other kinds", others]);
  const listed = counts.map(([kind, n]) => (kind === FOLDER ? counted(n, kind) : `${n} ${kind}`)).join(", ");
  return `passed over ${counted(paths.length, "file or folder", "files or folders")} (${listed}): ${firstOf(paths)}; read are .jpg, .png, .webp, .gif, .tif and .avif, and videos`;
}
