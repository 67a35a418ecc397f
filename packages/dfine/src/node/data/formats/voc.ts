import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import pLimit from "p-limit";
import { VOC_CLASSES } from "../../../config/vocClasses.ts";
import { DatasetError } from "../../../data/errors.ts";
import { cocoDataset } from "../../../data/parseCoco.ts";
import { type SplitName, splitOf } from "../../../data/splits.ts";
import { parseImageSet, parseLabelMap } from "../../../data/vocText.ts";
import { countsFromZero, parseVocXml, type VocImage, vocNames, vocToCoco } from "../../../data/vocXml.ts";
import { counted, firstOf } from "../../../describe.ts";
import type { DatasetSplit } from "../datasetParts.ts";
import { alikeButEndings, filesUnder, imageSize, isImageName, stemOf, UNKNOWN_SIZE } from "../imageFiles.ts";
import { exists, isFolder } from "../onDisk.ts";
import { readText } from "../readCoco.ts";
import { readXml } from "../readXml.ts";
import type { PartName, Recognised } from "./format.ts";

/** Files read at the same time. */
const PARALLEL = 32;

/** A part before its files are read. */
interface VocPart {
  readonly name: PartName;
  /** What says so, for messages. */
  readonly file: string;
  readonly annotations: string;
  readonly images: string;
  /** Annotation files by path inside their folder, without ending. */
  readonly names: readonly string[];
  /** Images beside annotation files that have none. */
  readonly unlabelled?: number;
}

/** Reads annotations of PASCAL VOC, one XML file for each image. All parts are read, since together they tell the classes. @throws DatasetError */
export async function readVocFolder(
  place: string,
  wants: (name: SplitName) => boolean,
): Promise<Recognised | undefined> {
  if (!(await isFolder(place))) return undefined;
  const { parts: found, passedOver } = await findParts(place);
  if (found.length === 0) return undefined;
  const read = new Map<VocPart, VocImage[]>();
  const alike = new Set<string>();
  for (const part of found) {
    const files = await filesUnder(part.images, isImageName);
    alike.add(alikeButEndings(files) ?? "");
    read.set(part, await readPart(part, files));
  }
  const all = [...read.values()].flat();
  const fromZero = countsFromZero(all);
  const classes = await classesOf(place, all);
  const parts: { [name in PartName]?: DatasetSplit } = {};
  for (const [part, images] of read)
    if (part.name === "only" || wants(part.name))
      parts[part.name] = {
        dataset: cocoDataset(vocToCoco(images, { classes, fromZero }), part.file),
        imageRoot: part.images,
      };
  const notes = [
    fromZero && "corners of boxes are counted from 0, as labelling tools write them, not from 1 as in VOC",
    ...found.map(
      ({ unlabelled = 0, name }) =>
        unlabelled > 0 &&
        `${name}: ${counted(unlabelled, "image has", "images have")} no annotation file and are left out`,
    ),
    passedOver.length > 0 && `passed over ${firstOf(passedOver)}: the name tells no part`,
    ...[...alike].map(
      (files) => files !== "" && `${files} share one annotation file, which is taken for the image that it names`,
    ),
  ].filter((note) => note !== false);
  return { how: "PASCAL VOC", parts, listed: found.map(({ name }) => name), notes };
}

const isXml = (name: string): boolean => /\.xml$/i.test(name) && !name.startsWith(".");

/** Parts in VOC's own folders, in a folder each, or all files in one; and folders with annotations whose names tell no part. */
async function findParts(place: string): Promise<{ parts: VocPart[]; passedOver: string[] }> {
  const entries = (await readdir(place, { withFileTypes: true }))
    .filter((entry) => !entry.isFile())
    .map(({ name }) => name);
  const annotations = entries.find((name) => /^annotations$/i.test(name));
  if (annotations) {
    const folder = join(place, annotations);
    const names = stems(await filesUnder(folder, isXml));
    if (names.length === 0) return { parts: [], passedOver: [] };
    const images = join(place, entries.find((name) => /^(jpegimages|images)$/i.test(name)) ?? ".");
    return { parts: await setsOf(place, { annotations: folder, images, names }), passedOver: [] };
  }
  const flat = await flatPart(place, "only");
  if (flat) return { parts: [flat], passedOver: [] };
  const [parts, passedOver]: [VocPart[], string[]] = [[], []];
  for (const name of entries.sort()) {
    const part = splitOf(name);
    const found = await flatPart(join(place, name), part ?? "only");
    if (found && part) parts.push(found);
    else if (found) passedOver.push(name);
  }
  return { parts, passedOver };
}

const stems = (files: readonly string[]): string[] => files.map(stemOf);

/** A folder with annotation files beside its images. */
async function flatPart(folder: string, name: PartName): Promise<VocPart | undefined> {
  const names = stems((await readdir(folder).catch(() => [])).filter(isXml).sort());
  if (names.length === 0) return undefined;
  const labelled = new Set(names);
  const unlabelled = stems((await readdir(folder)).filter(isImageName)).filter((stem) => !labelled.has(stem)).length;
  return { name, file: folder, annotations: folder, images: folder, names, unlabelled };
}

/** Parts by the lists in ImageSets/Main; all that there is where there are none. */
async function setsOf(place: string, all: Pick<VocPart, "annotations" | "images" | "names">): Promise<VocPart[]> {
  const folder = join(place, "ImageSets", "Main");
  const lists = (await readdir(folder).catch(() => [])).filter(
    (name) => /^[a-z]+\.txt$/i.test(name) && !/^\w+_/.test(name),
  );
  const chosen = new Map<SplitName, string>();
  // "train" before "trainval", which holds it.
  for (const name of lists.sort()) {
    const part = splitOf(basename(name, ".txt"));
    if (part && !chosen.has(part)) chosen.set(part, name);
  }
  if (chosen.size === 0) {
    const [list] = lists;
    if (list === undefined || lists.length > 1) return [{ name: "only", file: all.annotations, ...all }];
    return [await fromList("only", join(folder, list), all)];
  }
  return await Promise.all([...chosen].map(([part, name]) => fromList(part, join(folder, name), all)));
}

async function fromList(name: PartName, file: string, all: Pick<VocPart, "annotations" | "images">): Promise<VocPart> {
  return { name, file, ...all, names: parseImageSet(await readText(file)) };
}

async function readPart({ annotations, images, names }: VocPart, files: readonly string[]): Promise<VocImage[]> {
  const known = new Set(files);
  const byStem = new Map(files.map((file) => [stemOf(file), file]));
  return await pLimit(PARALLEL).map(names, async (name) => {
    const file = join(annotations, `${name}.xml`);
    const image = parseVocXml(await readXml(file), file);
    const given = image.fileName.replaceAll("\\", "/");
    const folder = dirname(name) === "." ? "" : `${dirname(name)}/`;
    const fileName =
      [given, folder + given].find((path) => known.has(path)) ??
      byStem.get(name) ??
      byStem.get(basename(given)) ??
      (given || name);
    if (image.width > 0 && image.height > 0) return { ...image, fileName };
    return { ...image, fileName, ...((await imageSize(join(images, fileName))) ?? UNKNOWN_SIZE) };
  });
}

/** The classes in their order: those of labelmap.txt and any more that there are, VOC's own twenty, or all names, sorted. */
async function classesOf(place: string, images: readonly VocImage[]): Promise<readonly string[]> {
  const file = join(place, "labelmap.txt");
  if (await exists(file)) {
    const listed = parseLabelMap(await readText(file));
    return [...listed, ...vocNames(images, listed).filter((name) => !listed.includes(name))];
  }
  const names = vocNames(images);
  const lists = await readdir(join(place, "ImageSets", "Main")).catch(() => []);
  const isVoc =
    lists.some((name) => name.startsWith(`${VOC_CLASSES[0]}_`)) && names.every((name) => VOC_CLASSES.includes(name));
  if (isVoc) return VOC_CLASSES;
  if (names.length > 0) return names;
  throw new DatasetError(
    place,
    `has no object in ${counted(images.length, "annotation file")}, so nothing tells the classes`,
    "List them in labelmap.txt, one a line.",
  );
}
