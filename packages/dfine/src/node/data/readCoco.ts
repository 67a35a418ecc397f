import { createReadStream } from "node:fs";
import type { CocoDataset } from "../../data/dataset.ts";
import { DatasetError } from "../../data/errors.ts";
import { jsonMembers } from "../../data/jsonMembers.ts";
import { cocoDataset, parseCoco } from "../../data/parseCoco.ts";
import { readWhole, statOf } from "./onDisk.ts";

/** Longest text that V8 holds in one string, in characters. */
export const MAX_TEXT = 0x1fffffe8;
/** Longest annotations that are parsed in one go, in bytes: that is faster, but holds masks too, which are not used. */
const MAX_WHOLE = 256 * 2 ** 20;

/** Reads and checks a COCO instances file of any length. @throws DatasetError */
export async function readCoco(path: string, { maxWhole = MAX_WHOLE } = {}): Promise<CocoDataset> {
  const found = await statOf(path);
  const inPieces = found?.isFile() && found.size > maxWhole;
  return inPieces ? cocoDataset(await readPieces(path), path) : parseCoco(await readText(path), path);
}

/** What is taken of each row. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  images: ["id", "file_name", "width", "height"],
  categories: ["id", "name"],
  annotations: ["id", "image_id", "category_id", "bbox", "area", "iscrowd"],
};

/** The JSON of a COCO file as JSON.parse would give it, but for what is not used. @throws DatasetError */
export async function readPieces(path: string): Promise<object> {
  const json: Record<string, unknown> = {};
  for await (const { key, index, value } of jsonMembers(createReadStream(path, { encoding: "utf8" }), path)) {
    if (!Object.hasOwn(KEYS, key)) continue;
    if (index === undefined) json[key] = value;
    else {
      // A list that is there twice counts as the last one, as JSON.parse has it.
      if (index === 0) json[key] = [];
      (json[key] as unknown[]).push(slim(value, KEYS[key]!));
    }
  }
  return json;
}

function slim(row: unknown, keys: readonly string[]): unknown {
  if (typeof row !== "object" || row === null || Array.isArray(row)) return row;
  const from = row as Readonly<Record<string, unknown>>;
  return Object.fromEntries(keys.flatMap((key) => (Object.hasOwn(from, key) ? [[key, from[key]]] : [])));
}

/** Reads a UTF-8 file of annotations or settings. @throws DatasetError when it is missing, a folder, or over 512 MB */
export async function readText(path: string): Promise<string> {
  const refusal = (problem: string, remedy: string) => new DatasetError(path, problem, remedy);
  const { size = 0 } = (await statOf(path)) ?? {};
  if (size > MAX_TEXT)
    throw refusal(`has ${size} bytes, more than the ${MAX_TEXT} that fit one string`, "Split it into several files.");
  return (await readWhole(path, refusal)).toString("utf8");
}
