import { closest } from "@dfine/tensor";
import * as z from "zod";
import { readYaml, type Yaml, YamlError } from "../config/yaml.ts";
import { DatasetError } from "./errors.ts";

/** One part of a data set: a folder of images and a COCO instances file. */
export const splitSchema = z.strictObject({
  images: z.string().min(1),
  annotations: z.string().min(1),
});

export type SplitPaths = z.infer<typeof splitSchema>;

const schema = z.strictObject({
  /** The data set's folder, relative to the file's own. */
  path: z.string().min(1).default("."),
  train: splitSchema.optional(),
  val: splitSchema.optional(),
  test: splitSchema.optional(),
  names: z.union([z.array(z.string()), z.record(z.string(), z.string())]).optional(),
  nc: z.number().int().optional(),
});

/** The parts that a data.yaml may have. */
export type SplitName = "train" | "val" | "test";
export const SPLITS: readonly SplitName[] = ["train", "val", "test"];

/** What a data.yaml says; paths as written. */
export interface DataYaml extends Omit<z.infer<typeof schema>, "names" | "nc"> {
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
  const { value, lineOf } = read(text, file);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new DatasetError(file, "is not a mapping of keys", "Write path, train, val and names as key: value.");
  if ("images" in value && "annotations" in value)
    throw new DatasetError(file, "is a COCO annotation file, not a data.yaml", ANNOTATIONS);
  const where = (path: readonly PropertyKey[]) => `line ${lineOf(path)}: ${path.join(".")}`;
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const { issues } = parsed.error;
    // A mistyped key also leaves the right one missing.
    throw problem(issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0]!, { file, where });
  }
  const { names, nc, ...data } = parsed.data;
  const list = names === undefined || Array.isArray(names) ? names : ordered(names, { file, where });
  if (nc !== undefined && list !== undefined && nc !== list.length)
    throw new DatasetError(file, `${where(["nc"])} is ${nc}, but names has ${list.length} entries`, "Leave nc out.");
  return { ...data, names: list };
}

interface Place {
  readonly file: string;
  readonly where: (path: readonly PropertyKey[]) => string;
}

function problem(issue: z.core.$ZodIssue, { file, where }: Place): DatasetError {
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const known = issue.path.length === 0 ? Object.keys(schema.shape) : Object.keys(splitSchema.shape);
    const guess = closest(key, known);
    const remedy = guess ? `Did you mean ${guess}?` : `The keys here are ${known.join(", ")}.`;
    return new DatasetError(file, `${where([...issue.path, key])} is not a key of data.yaml`, remedy);
  }
  const part = SPLITS.find((name) => name === issue.path[0]);
  const remedy = part
    ? `Write ${part}: { images: FOLDER, annotations: FILE.json }; labels in YOLO text files are not read.`
    : "See the data set section of the README.";
  return new DatasetError(file, `${where(issue.path)} does not fit (${issue.message})`, remedy);
}

const ANNOTATIONS = "Give it with --annotations, and its images with --images.";

function read(text: string, file: string): Yaml {
  try {
    return readYaml(text);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    const isJson = /^\s*\{\s*"/.test(text);
    const remedy = isJson ? `Are these COCO annotations? ${ANNOTATIONS}` : "Correct the syntax there.";
    throw new DatasetError(file, `is not valid YAML (${error.message})`, remedy);
  }
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
