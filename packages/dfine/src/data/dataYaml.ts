import { closest } from "@dfine/tensor";
import * as z from "zod";
import { readYaml, type Yaml, YamlError } from "../config/yaml.ts";
import { DatasetError } from "./errors.ts";
import type { SplitName } from "./splits.ts";

/** One part of a data set: a folder of images and a COCO instances file. */
export const splitSchema = z.strictObject({
  images: z.string().min(1),
  annotations: z.string().min(1),
});

/** A folder of images, and the file of their COCO annotations. @interface */
export type SplitPaths = z.infer<typeof splitSchema>;

/** Class names; digits are names too. */
const className = z.union([z.string(), z.number().transform(String)]);
/** More classes than this are a mistake. */
const MOST_CLASSES = 100_000;
const shared = {
  /** The data set's folder, relative to the file's own. */
  path: z
    .string()
    .min(1)
    .nullish()
    .transform((path) => path ?? "."),
  names: z.union([z.array(className), z.record(z.string(), className)]).optional(),
  nc: z.number().int().min(0).max(MOST_CLASSES).optional(),
};
const own = z.strictObject({
  ...shared,
  train: splitSchema.optional(),
  val: splitSchema.optional(),
  test: splitSchema.optional(),
});

/** Folders of images, or lists of their paths (.txt); an empty entry, as some templates have, is none. */
const sources = z
  .union([z.string(), z.array(z.string()), z.null()])
  .optional()
  .transform((given) => [given ?? []].flat().filter((source) => source !== ""));
/** Ultralytics' form, in which tools keep notes of their own under other keys. */
const yolo = z.looseObject({
  ...shared,
  train: sources,
  val: sources,
  valid: sources,
  validation: sources,
  test: sources,
  /** Points of a pose, and the numbers of each. */
  kpt_shape: z.tuple([z.int().min(0), z.int().min(0)]).optional(),
});
const YOLO_PARTS = ["train", "val", "valid", "validation", "test"] as const;

/** What a data.yaml says; paths as written. */
export interface DataYaml extends Pick<z.infer<typeof own>, "path" | SplitName> {
  /** Class names in label order, where given. */
  readonly names: readonly string[] | undefined;
  /** Where labels are YOLO text files: the sources of images of each part, in place of `train`, `val` and `test`. */
  readonly yolo?: YoloYaml;
}

/** The parts of Ultralytics' form. */
export interface YoloYaml {
  readonly parts: Readonly<Partial<Record<SplitName, readonly string[]>>>;
  readonly names: readonly string[];
  /** Numbers of key points after each box. */
  readonly keypoints: number;
}

/**
 * Reads a data.yaml:
 *
 *     path: .                                  # optional, relative to this file
 *     train: { images: train, annotations: annotations/train.json }
 *     val: { images: val, annotations: annotations/val.json }
 *     names: [cat, dog]                        # optional; checked against the annotations
 *
 * or, with labels in YOLO text files, as Ultralytics has it:
 *
 *     train: images/train                      # a folder, a list of folders, or a .txt of image paths
 *     val: images/val
 *     names: { 0: cat, 1: dog }
 *
 * @throws DatasetError naming file, line, key, what stands there and the remedy
 */
export function parseDataYaml(text: string, file: string): DataYaml {
  const { value, lineOf } = read(text, file);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new DatasetError(file, "is not a mapping of keys", "Write path, train, val and names as key: value.");
  if ("images" in value && "annotations" in value)
    throw new DatasetError(file, "is a COCO annotation file, not a data.yaml", ANNOTATIONS);
  const place: Place = { file, where: (path) => `line ${lineOf(path)}: ${path.join(".")}` };
  return isYolo(value) ? yoloYaml(value, place) : ownYaml(value, place);
}

const isYolo = (value: object): boolean =>
  Object.entries(value).some(
    ([key, part]) =>
      (YOLO_PARTS as readonly string[]).includes(key) && (typeof part === "string" || Array.isArray(part)),
  );

function ownYaml(value: object, place: Place): DataYaml {
  const { names, nc, ...data } = checked(own.safeParse(value), place);
  return { ...data, names: namesOf({ names, nc }, place) };
}

function yoloYaml(value: object, place: Place): DataYaml {
  const given = checked(yolo.safeParse(value), place);
  const { path, nc, kpt_shape: points = [0, 0] } = given;
  const names =
    namesOf(given, place) ?? (nc === undefined ? undefined : Array.from({ length: nc }, (_, i) => `class_${i}`));
  if (names === undefined || names.length === 0)
    throw new DatasetError(
      place.file,
      "names no classes",
      "Write names: [cat, dog], in the order of the numbers in the label files.",
    );
  const val = [given.val, given.valid, given.validation].find((sources) => sources.length > 0) ?? [];
  const parts = Object.entries({ train: given.train, val, test: given.test }).filter(
    ([, sources]) => sources.length > 0,
  );
  return { path, names, yolo: { parts: Object.fromEntries(parts), names, keypoints: points[0] * points[1] } };
}

interface Place {
  readonly file: string;
  readonly where: (path: readonly PropertyKey[]) => string;
}

/** @throws DatasetError for the first thing that does not fit */
function checked<T>(parsed: z.ZodSafeParseResult<T>, place: Place): T {
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  // A mistyped key also leaves the right one missing.
  throw problem(issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0]!, place);
}

function problem(issue: z.core.$ZodIssue, { file, where }: Place): DatasetError {
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const known = issue.path.length === 0 ? Object.keys(own.shape) : Object.keys(splitSchema.shape);
    const guess = closest(key, known);
    const remedy = guess ? `Did you mean ${guess}?` : `The keys here are ${known.join(", ")}.`;
    return new DatasetError(file, `${where([...issue.path, key])} is not a key of data.yaml`, remedy);
  }
  const form = FORMS[issue.path[0] as keyof typeof FORMS];
  return new DatasetError(file, `${where(issue.path)} does not fit (${issue.message})`, `Write ${form}.`);
}

const partForm = (name: string) =>
  `${name}: { images: FOLDER, annotations: FILE.json }, or for YOLO labels ${name}: FOLDER`;
/** How each key is written. */
const FORMS: Readonly<Record<keyof typeof yolo.shape, string>> = {
  path: "path: FOLDER, relative to this file, or leave it out",
  names: "names: [cat, dog], in the order of the numbers in the label files",
  nc: "the number of classes, such as nc: 2, or leave it out",
  train: partForm("train"),
  val: partForm("val"),
  valid: partForm("valid"),
  validation: partForm("validation"),
  test: partForm("test"),
  kpt_shape: "kpt_shape: [17, 3]: the points of a pose, and the numbers of each",
};

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

/** Class names in label order, where given. @throws DatasetError where they do not fit their number */
function namesOf(
  { names, nc }: Pick<z.infer<typeof own>, "names" | "nc">,
  { file, where }: Place,
): readonly string[] | undefined {
  const list = names === undefined || Array.isArray(names) ? names : ordered(names, { file, where });
  if (nc !== undefined && list !== undefined && nc !== list.length)
    throw new DatasetError(file, `${where(["nc"])} is ${nc}, but names has ${list.length} entries`, "Leave nc out.");
  return list;
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
