import { type Document, isMap, isNode, LineCounter, parseDocument } from "yaml";
import * as z from "zod";
import { closest } from "../config/suggest.ts";
import { DatasetError } from "./errors.ts";

const split = z.strictObject({
  images: z.string().min(1),
  annotations: z.string().min(1),
});

const schema = z.strictObject({
  path: z.string().min(1).optional(),
  train: split.optional(),
  val: split.optional(),
  test: split.optional(),
  names: z.union([z.array(z.string()), z.record(z.string(), z.string())]).optional(),
  nc: z.number().int().optional(),
});

/** One part of a data set: a folder of images and a COCO instances file, as written in data.yaml. */
export type SplitPaths = z.infer<typeof split>;

/** The parts that a data.yaml may have. */
export type SplitName = "train" | "val" | "test";

/** What a data.yaml says; paths as written. */
export interface DataYaml {
  /** The data set's folder, relative to the file's own. */
  readonly path: string;
  readonly splits: ReadonlyMap<SplitName, SplitPaths>;
  /** Class names in label order, where given. */
  readonly names: readonly string[] | undefined;
}

/**
 * Reads a data.yaml:
 *
 *     path: .                                  # optional, relative to this file
 *     train: { images: train, annotations: annotations/train.json }
 *     val: { images: val, annotations: annotations/val.json }
 *     names: [cat, dog]                        # optional; checked against the annotations
 *
 * @throws DatasetError naming file, line, key, what stands there and the remedy
 */
export function parseDataYaml(text: string, file: string): DataYaml {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: true });
  const broken = document.errors[0];
  if (broken) {
    throw new DatasetError(file, `is not valid YAML (${broken.message.split("\n")[0]})`, "Correct the syntax there.");
  }
  if (!isMap(document.contents)) {
    throw new DatasetError(file, "is not a mapping of keys", "Write path, train, val and names as key: value.");
  }
  const where = (path: readonly PropertyKey[]) => `line ${lineOf(document, lines, path)}: ${path.join(".")}`;
  const parsed = schema.safeParse(plain(document, file));
  if (!parsed.success) throw problem(parsed.error.issues[0]!, { file, where });
  const { path = ".", names, nc } = parsed.data;
  const splits = new Map<SplitName, SplitPaths>();
  for (const name of ["train", "val", "test"] as const) {
    const paths = parsed.data[name];
    if (paths) splits.set(name, paths);
  }
  const list = names === undefined || Array.isArray(names) ? names : ordered(names, { file, where });
  if (nc !== undefined && list !== undefined && nc !== list.length) {
    throw new DatasetError(file, `${where(["nc"])} is ${nc}, but names has ${list.length} entries`, "Leave nc out.");
  }
  return { path, splits, names: list };
}

interface Place {
  readonly file: string;
  readonly where: (path: readonly PropertyKey[]) => string;
}

function problem(issue: z.core.$ZodIssue, { file, where }: Place): DatasetError {
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const known = issue.path.length === 0 ? Object.keys(schema.shape) : Object.keys(split.shape);
    const guess = closest(key, known);
    const remedy = guess ? `Did you mean ${guess}?` : `The keys here are ${known.join(", ")}.`;
    return new DatasetError(file, `${where([...issue.path, key])} is not a key of data.yaml`, remedy);
  }
  const top = String(issue.path[0]);
  const form = `${top}: { images: FOLDER, annotations: FILE.json }`;
  const remedy = top in schema.shape && top !== "path" && top !== "names" && top !== "nc" ? form : "";
  return new DatasetError(
    file,
    `${where(issue.path)} does not fit (${issue.message})`,
    remedy ? `Write ${remedy}; labels in YOLO text files are not read.` : "See the data set section of the README.",
  );
}

function plain(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new DatasetError(
      file,
      `cannot be read (${(error as Error).message})`,
      "Write the values out without aliases.",
    );
  }
}

/** The line of the deepest part of `path` that the document has, from 1. */
function lineOf(document: Document, lines: LineCounter, path: readonly PropertyKey[]): number {
  for (let depth = path.length; depth > 0; depth--) {
    const node = document.getIn(path.slice(0, depth), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}

/** Ultralytics' form of names, { 0: cat, 1: dog }. */
function ordered(names: Record<string, string>, { file, where }: Place): string[] {
  const count = Object.keys(names).length;
  return Array.from({ length: count }, (_, label) => {
    const name = names[label];
    if (name !== undefined) return name;
    throw new DatasetError(
      file,
      `${where(["names"])} has ${count} entries but none for ${label}`,
      "Number them from 0 on.",
    );
  });
}
