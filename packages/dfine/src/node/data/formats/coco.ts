import { open, readdir } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { group } from "d3-array";
import { checkSameCategories } from "../../../data/categories.ts";
import type { CocoDataset } from "../../../data/dataset.ts";
import { DatasetError } from "../../../data/errors.ts";
import { type SplitName, splitOf } from "../../../data/splits.ts";
import { firstOf } from "../../../describe.ts";
import type { DatasetSplit } from "../datasetParts.ts";
import { exists, isFolder, specialFile } from "../onDisk.ts";
import { readCoco } from "../readCoco.ts";
import type { PartName, Recognised } from "./format.ts";

/** Reads a file of COCO annotations, or a folder of them and their images. @throws DatasetError */
export async function readCocoFolder(
  place: string,
  wants: (name: SplitName) => boolean,
): Promise<Recognised | undefined> {
  const { found, others } = await findCoco(place, wants);
  if (found.size === 0) return undefined;
  const parts: { [name in PartName]?: DatasetSplit } = {};
  const notes = new Set<string>();
  if (others.length > 0) notes.add(`passed over ${firstOf(others)}: the name tells no part`);
  for (const [name, { file, roots }] of found) {
    if (name !== "only" && !wants(name)) continue;
    const dataset = await readCoco(file);
    const [first] = Object.values(parts);
    if (first) checkSameCategories(first.dataset, dataset);
    const { note, ...part } = await withImages(dataset, roots);
    if (note) notes.add(note);
    parts[name] = part;
  }
  const top = (await isFolder(place)) ? place : dirname(place);
  const how = `COCO JSON (${firstOf([...found.values()].map(({ file }) => relative(top, file)))})`;
  return { how, parts, listed: [...found.keys()], notes: [...notes] };
}

/** The annotation files of a place, before any of them is read. */
export interface CocoFiles {
  /** By part, and the folders that may have their images. A file that is given is the only one. */
  readonly found: ReadonlyMap<PartName, { readonly file: string; readonly roots: readonly string[] }>;
  /** Files beside those of parts whose names tell none. */
  readonly others: readonly string[];
}

/** @throws DatasetError for several files of a part that is wanted */
export async function findCoco(place: string, wants: (name: SplitName) => boolean = () => true): Promise<CocoFiles> {
  const files = await annotationFiles(place);
  const isGiven = !(await isFolder(place));
  const byPart = group(files, (file): PartName => (isGiven ? "only" : (nameOf(file) ?? "only")));
  const others = byPart.size > 1 ? (byPart.get("only") ?? []) : [];
  if (others.length > 0) byPart.delete("only");
  for (const [name, same] of byPart)
    if (same.length > 1 && (name === "only" || wants(name))) throw several(place, name, same);
  const top = isGiven ? dirname(place) : place;
  const found = new Map([...byPart].map(([name, [file]]) => [name, { file: file!, roots: rootsFor(file!, top) }]));
  return { found, others };
}

/** The part that a file's name tells, or its folder's. */
const nameOf = (file: string): SplitName | undefined =>
  splitOf(basename(file, ".json")) ?? splitOf(basename(dirname(file)));

/** Several files are candidates for a part: someone has to choose. */
export class SeveralFilesError extends DatasetError {
  override readonly name = "SeveralFilesError";
}

function several(place: string, name: PartName, files: readonly string[]): DatasetError {
  const which = name === "only" ? "whose names tell no part" : `of ${name}`;
  return new SeveralFilesError(
    place,
    `has several annotation files ${which}: ${firstOf(files.map((file) => basename(file)))}`,
    "Give one of them with --annotations and its images with --images, or name them with train or val.",
  );
}

/** Annotation files at a place, in its folder `annotations`, and in those of its parts. */
async function annotationFiles(place: string): Promise<string[]> {
  if (!(await isFolder(place))) return /\.json$/i.test(place) ? [place] : [];
  const names = (await readdir(place, { withFileTypes: true })).filter(
    (entry) => entry.isDirectory() || entry.isSymbolicLink(),
  );
  const folders = names.map(({ name }) => name).filter((name) => /^annotations$/i.test(name) || splitOf(name));
  const found = await Promise.all([place, ...folders.map((name) => join(place, name))].map(jsonFiles));
  return found.flat();
}

/** COCO files of a folder; where some are called instances, as beside captions and key points, only these. */
async function jsonFiles(folder: string): Promise<string[]> {
  const names = (await readdir(folder).catch(() => [])).filter(
    (name) => /\.json$/i.test(name) && !name.startsWith("._"),
  );
  const instances = names.filter((name) => /^instances/i.test(name));
  const files = (instances.length > 0 ? instances : names).sort().map((name) => join(folder, name));
  const fits = await Promise.all(files.map(beginsAsCoco));
  return files.filter((_, i) => fits[i]);
}

/** How much of a file is looked at, bytes. */
const HEAD = 1 << 16;

/** Whether a file begins as COCO annotations do, with one of their lists or with what is said about them. */
async function beginsAsCoco(file: string): Promise<boolean> {
  if (await specialFile(file)) return false;
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD), 0, HEAD, 0);
    const text = buffer.toString("utf8", 0, bytesRead);
    return /^\s*\{/.test(text) && /"(images|annotations|categories)"\s*:\s*\[/.test(text);
  } finally {
    await handle.close();
  }
}

/** Folders in which the images of an annotation file may lie, the likeliest first. */
function rootsFor(file: string, place: string): string[] {
  const folder = dirname(file);
  const tops = /^annotations$/i.test(basename(folder)) ? [dirname(folder)] : [...new Set([folder, place])];
  const set = basename(file, ".json").replace(/^(instances|annotations)[_-]?/i, "");
  const part = nameOf(file);
  const spellings = part === "val" ? ["val", "valid", "validation"] : part ? [part] : [];
  return tops.flatMap((top) => [
    ...[`images/${set}`, set].map((name) => join(top, name)),
    ...spellings.flatMap((name) => [`images/${name}`, `${name}/images`, name].map((inner) => join(top, inner))),
    ...[join(top, "images"), top],
  ]);
}

/** Images looked for in each folder. */
const PROBES = 20;

/** The data set with the folder that has most of its images; by their names alone where the paths are another machine's. @throws DatasetError */
async function withImages(dataset: CocoDataset, roots: readonly string[]): Promise<DatasetSplit & { note?: string }> {
  const { images, file } = dataset;
  const folders = [...new Set(roots)];
  const probes = probesOf(images.map(({ fileName }) => fileName));
  if (probes.length === 0) return { dataset, imageRoot: dirname(file) };
  const asGiven = await folderWith(probes, folders);
  if (asGiven) return { dataset, imageRoot: asGiven };
  const plain = images.map((image) => ({ ...image, fileName: plainName(image.fileName) }));
  const byName = await folderWith(probes.map(plainName), folders);
  if (byName && new Set(plain.map(({ fileName }) => fileName)).size === plain.length) {
    const note = `images such as ${probes[0]} are looked for by their names alone, in ${byName}`;
    return { dataset: { ...dataset, images: plain }, imageRoot: byName, note };
  }
  throw new DatasetError(
    file,
    `names images such as ${probes[0]}, which are in none of ${firstOf(folders, 12)}`,
    "Put them into one of these folders, or give folder and annotations with --images and --annotations.",
  );
}

/** Some of many names, evenly spread. */
export function probesOf(names: readonly string[]): string[] {
  const count = Math.min(PROBES, names.length);
  return Array.from({ length: count }, (_, i) => names[Math.floor((i * names.length) / count)]!);
}

/** The folder that has most of the files, the first of those that have as many; undefined where none has any. */
export async function folderWith(names: readonly string[], folders: readonly string[]): Promise<string | undefined> {
  const hits = await Promise.all(
    folders.map(async (folder) => {
      const there = await Promise.all(names.map((name) => exists(join(folder, name.replaceAll("\\", "/")))));
      return there.filter(Boolean).length;
    }),
  );
  const most = Math.max(...hits);
  return most === 0 ? undefined : folders[hits.indexOf(most)];
}

export const plainName = (name: string): string => name.split(/[\\/]/).at(-1)!;
