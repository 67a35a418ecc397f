import type { SplitPaths } from "../../data/dataYaml.ts";
import { DatasetError } from "../../data/errors.ts";
import { exactIds, hasLargeIds } from "../../data/exactIds.ts";
import { readJson } from "../../data/readJson.ts";
import type { SplitName } from "../../data/splits.ts";
import { describe } from "../../describe.ts";
import type { ImageRow, PartSource, Row } from "../../doctor/survey.ts";
import { readWhole, statOf } from "../data/onDisk.ts";
import { MAX_TEXT, readPieces } from "../data/readCoco.ts";

/** A part of which nothing can be read, and why. */
export const unreadablePart = (name: SplitName, file: string, imageRoot: string, is: string): PartSource => ({
  ...{ name, file, imageRoot },
  problems: [["annotations-unreadable", is]],
  ...{ images: [], annotations: [], categories: [] },
});

/** Reads the entries of a COCO file as they stand there, whatever is wrong with them. */
export async function readCocoPart(
  name: SplitName,
  { images: imageRoot, annotations: file }: SplitPaths,
): Promise<PartSource> {
  try {
    const problems: PartSource["problems"] = [];
    const { size = 0 } = (await statOf(file)) ?? {};
    const json =
      size > MAX_TEXT
        ? await readPieces(file)
        : lenientJson(decodeText(await readBytes(file), problems), file, problems);
    if (typeof json !== "object" || json === null || Array.isArray(json))
      throw new DatasetError(
        file,
        `holds ${describe(json)}, not an object with images, annotations and categories`,
        "",
      );
    const { images, annotations, categories } = json as Record<string, unknown>;
    const list = <List extends Row["list"]>(key: List, value: unknown) => {
      if (!Array.isArray(value) || (key === "categories" && value.length === 0))
        problems.push(["annotations-unreadable", `has ${describe(value)} as "${key}"`]);
      return Array.isArray(value) ? value.map((entry, index) => rowOf(key, index, entry)) : [];
    };
    return {
      ...{ name, file, imageRoot, problems },
      images: list("images", images).map((row): ImageRow => ({ ...row, facts: {} })),
      categories: list("categories", categories),
      annotations: list("annotations", annotations),
    };
  } catch (error) {
    if (!(error instanceof DatasetError)) throw error;
    return unreadablePart(name, file, imageRoot, error.message.replace(`${file}: `, ""));
  }
}

function rowOf(list: Row["list"], index: number, entry: unknown): Row {
  const isObject = typeof entry === "object" && entry !== null && !Array.isArray(entry);
  return isObject
    ? { list, index, values: entry as Row["values"], dropped: false }
    : { list, index, values: {}, instead: entry, dropped: false };
}

const readBytes = (file: string): Promise<Buffer> =>
  readWhole(file, (problem, remedy) => new DatasetError(file, problem, remedy));

/** Text in UTF-8, or in what it is in instead. */
function decodeText(bytes: Uint8Array, problems: PartSource["problems"]): string {
  const other = (encoding: string, is: string) => {
    problems.push(["file-encoding", is]);
    return new TextDecoder(encoding).decode(bytes);
  };
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return other("utf-16le", "is in UTF-16");
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return other("utf-16be", "is in UTF-16");
  if (bytes[0] === 0xef && bytes[1] === 0xbb) return other("utf-8", "begins with a byte order mark");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return other("windows-1252", "is not UTF-8; it is read as Latin-1 (windows-1252)");
  }
}

/** Texts, which stay, or numbers that JSON does not have. */
const NOT_JSON = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g;

/** @throws DatasetError for what is no JSON, but for numbers that Python writes */
function lenientJson(text: string, file: string, problems: PartSource["problems"]): unknown {
  const reviver = hasLargeIds(text) ? exactIds : undefined;
  try {
    return readJson(text, file, reviver);
  } catch (error) {
    let count = 0;
    const mended = text.replace(NOT_JSON, (token) => {
      if (token.startsWith('"')) return token;
      count++;
      return "null";
    });
    if (count === 0) throw error;
    const json = readJson(mended, file, reviver);
    problems.push(["json-nan", `has NaN or Infinity in ${count} ${count === 1 ? "place" : "places"}`]);
    return json;
  }
}
