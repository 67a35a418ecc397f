import { readdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { DatasetError } from "../../../data/errors.ts";
import { SPLITS, splitOf } from "../../../data/splits.ts";
import { filesUnder, isImageName } from "../imageFiles.ts";
import { exists, isFolder, withSeparators } from "../onDisk.ts";
import { readText } from "../readCoco.ts";
import type { PartName } from "./format.ts";
import { openDataYaml } from "./yamlFile.ts";

/** A data set with YOLO labels, before any of them is read. */
export interface YoloFolder {
  readonly how: string;
  /** What says so, for messages. */
  readonly file: string;
  /** Folder that paths in lists start from. */
  readonly base: string;
  readonly names: readonly string[];
  readonly keypoints: number;
  /** Folders of images, or lists of them. */
  readonly parts: { readonly [name in PartName]?: readonly string[] };
  /** Images, and folders of them, that belong to no part. */
  readonly passedOver?: readonly string[];
}

/** What a place with YOLO labels holds; undefined where it has none. @throws DatasetError */
export async function findYolo(place: string): Promise<YoloFolder | undefined> {
  const fromYaml = await ultralytics(place);
  if (fromYaml || !(await isFolder(place))) return fromYaml;
  return (await darknet(place)) ?? (await withClassList(place));
}

/** By Ultralytics' data.yaml. */
async function ultralytics(place: string): Promise<YoloFolder | undefined> {
  const yaml = await openDataYaml(place);
  if (!yaml?.yolo) return undefined;
  const { file, yolo } = yaml;
  const home = dirname(resolve(file));
  const written = await withSeparators(resolve(home, yaml.path));
  // Templates name a folder of the machine they were made on.
  const base = (await isFolder(written)) ? written : home;
  const parts: { [name in PartName]?: readonly string[] } = {};
  for (const name of SPLITS) {
    const sources = await Promise.all((yolo.parts[name] ?? []).map((source) => sourceAt(base, source)));
    const there = await Promise.all(sources.map(exists));
    // Roboflow names a test part also where there is none.
    if (name !== "test" ? sources.length > 0 : there.includes(true)) parts[name] = sources;
  }
  return { how: "YOLO labels of Ultralytics", file, base, ...yolo, parts };
}

/** A source as written; Roboflow writes one ../ too many. */
async function sourceAt(base: string, source: string): Promise<string> {
  const path = await withSeparators(resolve(base, source));
  const inner = await withSeparators(resolve(base, source.replace(/^(\.\.[\\/])+/, "")));
  return !(await exists(path)) && (await exists(inner)) ? inner : path;
}

/** By the obj.data of Darknet, as CVAT writes it for YOLO 1.1. */
async function darknet(base: string): Promise<YoloFolder | undefined> {
  const file = join(base, "obj.data");
  if (!(await exists(file))) return undefined;
  const lines = (await readText(file)).split(/\r?\n/).map((line) => line.split("=").map((side) => side.trim()));
  const given = new Map(lines.map(([key = "", value = ""]) => [key, value]));
  const at = async (value: string) => {
    const [whole, inner] = [resolve(base, value), resolve(base, value.replace(/^data[\\/]/, ""))];
    return !(await exists(whole)) && (await exists(inner)) ? inner : whole;
  };
  const parts: { [name in PartName]?: readonly string[] } = {};
  for (const [key, value] of given) {
    const part = splitOf(key);
    if (part && value !== "") parts[part] = [await at(value)];
  }
  const names = await classNames(await at(given.get("names") || "obj.names"));
  return { how: "YOLO labels of Darknet", file, base, names, keypoints: 0, parts };
}

const LISTS = ["classes.txt", "obj.names"];

/** By a list of classes beside images and labels, as Label Studio and LabelImg write it. */
async function withClassList(base: string): Promise<YoloFolder | undefined> {
  const folders = (await readdir(base, { withFileTypes: true }))
    .filter((entry) => !entry.isFile())
    .map(({ name }) => name);
  const hasFolders = folders.includes("images") && folders.includes("labels");
  let file: string | undefined;
  for (const name of [...LISTS, ...LISTS.map((list) => join("labels", list))])
    if (file === undefined && (await exists(join(base, name)))) file = join(base, name);
  if (file === undefined && !hasFolders) return undefined;
  if (file === undefined)
    throw new DatasetError(
      base,
      "has folders images and labels, but nothing that names the classes",
      "Write a data.yaml into it, with lines such as train: images/train, val: images/val and names: [cat, dog].",
    );
  const names = await classNames(file);
  return {
    how: "YOLO labels",
    file,
    base,
    names,
    keypoints: 0,
    ...(await partFolders(base, hasFolders)),
  };
}

/** Folders of images by part: images/train, train/images, or all images in one. */
async function partFolders(base: string, hasFolders: boolean): Promise<Pick<YoloFolder, "parts" | "passedOver">> {
  const parts: { [name in PartName]?: string[] } = {};
  const passedOver: string[] = [];
  const images = hasFolders ? join(base, "images") : base;
  for (const name of (await readdir(images)).sort()) {
    const part = splitOf(name);
    const [folder, inner] = [join(images, name), join(images, name, "images")];
    if (part && (await isFolder(folder)))
      parts[part] = [...(parts[part] ?? []), (await isFolder(inner)) ? inner : folder];
    else if (isImageName(name) || (await filesUnder(folder, isImageName)).length > 0) passedOver.push(name);
  }
  return Object.keys(parts).length > 0 ? { parts, passedOver } : { parts: { only: [images] } };
}

/** Names of classes, one a line. @throws DatasetError */
async function classNames(file: string): Promise<string[]> {
  const names = (await readText(file)).split(/\r?\n/).map((line) => line.trim());
  while (names.at(-1) === "") names.pop();
  if (names.length > 0 && !names.includes("")) return names;
  throw new DatasetError(
    file,
    names.length === 0 ? "names no classes" : `has no name in line ${names.indexOf("") + 1}`,
    "Write one class a line, in the order of the numbers in the label files.",
  );
}
