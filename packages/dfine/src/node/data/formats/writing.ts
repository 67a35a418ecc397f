import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { SPLITS, type SplitName } from "../../../data/splits.ts";
import { FileWriteError } from "../../checkpointFile.ts";
import type { DatasetParts, DatasetSplit } from "../datasetParts.ts";

/** A part to write, and what its images are called there. */
export interface WrittenPart extends DatasetSplit {
  readonly name: SplitName;
  /** Image id → path with "/" that differs from all others in more than case and ending. */
  readonly names: ReadonlyMap<number, string>;
}

/** The parts that there are. Where `apart`, images of different parts may be called alike. */
export function partsOf(data: DatasetParts, apart = true): WrittenPart[] {
  let taken = new Set<string>();
  return SPLITS.flatMap((name) => {
    const part = data[name];
    if (!part) return [];
    if (apart) taken = new Set();
    return [
      { ...part, name, names: new Map(part.dataset.images.map(({ id, fileName }) => [id, freeName(fileName, taken)])) },
    ];
  });
}

/**
 * The name inside its folder, numbered where another one is too like it; without inner folders called images, of which YOLO
 * looks for the last.
 */
function freeName(fileName: string, taken: Set<string>): string {
  const parts = fileName.split(/[\\/]+/).filter((part) => part !== "" && part !== ".");
  const path = parts.filter((part, i) => part !== "images" || i === parts.length - 1).join("/");
  const [, stem = path, ending = ""] = /^(.*?)(\.[^./]*)?$/s.exec(path)!;
  for (let i = 1; ; i++) {
    const free = i === 1 ? stem : `${stem}-${i}`;
    const key = free.normalize("NFC").toLowerCase();
    if (taken.has(key)) continue;
    taken.add(key);
    return free + ending;
  }
}

/** A path with another ending. */
export const withEnding = (path: string, ending: string): string => path.replace(/(\.[^./]*)?$/, ending);

/** Writes a file, and the folders that it lies in. @throws FileWriteError */
export async function writeText(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text).catch((error: NodeJS.ErrnoException) => {
    throw new FileWriteError(path, error);
  });
}
