import { createReadStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { extname, join } from "node:path";
import { DatasetError } from "../../data/errors.ts";
import { type JsonMember, jsonMembers } from "../../data/jsonMembers.ts";
import * as rule from "../../optionRules.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import { missingHint, statOf } from "../data/onDisk.ts";
import { loadSharp } from "../optional.ts";
import { cocoText } from "./cocoText.ts";

/** Where Objects365 lies, and what is made of it. */
export interface Objects365Options {
  /** zhiyuan_objv2_train.json. */
  readonly train: string;
  /** zhiyuan_objv2_val.json. */
  readonly val: string;
  /** Folder of the images of both, as the annotations name them; resized ones are written beside them. */
  readonly images: string;
  /** Folder for train.json, val.json and data.yaml. */
  readonly out: string;
  /** Make images whose longer side is above 640 that size. Default true. */
  readonly resize?: boolean;
  /** Told now and then how many images are done. */
  readonly onProgress?: (done: number) => void;
}

const OPTIONS: rule.OptionRules<Objects365Options> = {
  ...{ train: rule.needed(rule.text), val: rule.needed(rule.text), images: rule.needed(rule.text) },
  ...{ out: rule.needed(rule.text), resize: rule.flag, onProgress: rule.callable },
};

/** Images at the head of the validation data that stay validation data. */
const KEPT = 5000;
/** Folder of the images that change sides, in place of the first part of their names. */
const MOVED = "images_from_val";
const LONGEST = 640;

type Row = Record<string, unknown> & { readonly id: number };

/** How an image came out: by how much it shrank. */
type Scales = Map<number, number>;

/**
 * Prepares Objects365 as the official tools do: all but the first 5000 validation images are trained on (their names then
 * begin with `images_from_val`, where they must lie), and images above 640 pixels are made smaller, with their boxes.
 * Images that cannot be read are left out. Files of any length are read piece by piece.
 * @throws DatasetError, FileWriteError, MissingPackageError, ArgumentError for options
 */
export async function convertObjects365(options: Objects365Options): Promise<{ dropped: number; data: string }> {
  rule.checkOptions("convertObjects365", options, OPTIONS);
  const { train, val, out } = options;
  await mkdir(out, { recursive: true });
  const kept = new Set<number>();
  for await (const { key, value } of membersOf(val, ["annotations", "categories"]))
    if (key === "images" && kept.size < KEPT) kept.add((value as Row).id);
  const shrink = resizer(options);
  const isKept = (id: number) => kept.has(id);
  await writeFileAtomic(join(out, "val.json"), partText([{ file: val, takes: isKept }], shrink));
  const parts = [
    { file: val, takes: (id: number) => !isKept(id), rename: moved },
    { file: train, takes: () => true },
  ];
  await writeFileAtomic(join(out, "train.json"), partText(parts, shrink));
  const data = join(out, "data.yaml");
  const split = (name: string) => `${name}: { images: ${JSON.stringify(options.images)}, annotations: ${name}.json }\n`;
  await writeFileAtomic(data, split("train") + split("val"));
  return { dropped: shrink.dropped(), data };
}

const moved = (name: string): string => [MOVED, ...name.split("/").slice(1)].join("/");

/** Members of the lists of an annotation file, but for lists that are skipped. @throws DatasetError */
async function* membersOf(file: string, skip: readonly string[]): AsyncGenerator<JsonMember, void, undefined> {
  if (!(await statOf(file))?.isFile())
    throw new DatasetError(file, "does not exist", (await missingHint(file)) ?? "Check the path.");
  for await (const member of jsonMembers(createReadStream(file, { encoding: "utf8" }), file, { skip }))
    if (member.index !== undefined) yield member;
}

interface Part {
  readonly file: string;
  readonly takes: (image: number) => boolean;
  readonly rename?: (name: string) => string;
}

type Resizer = ReturnType<typeof resizer>;

/** A part of the data set, piece by piece; images come first, since annotations shrink with them. */
function partText(parts: readonly Part[], shrink: Resizer): AsyncGenerator<string, void, undefined> {
  const scales: Scales = new Map();
  return cocoText({
    images: images(parts, shrink, scales),
    categories: categories(parts[0]!),
    annotations: annotations(parts, scales),
  });
}

/** Images as they come out, whose scales it takes down. */
async function* images(
  parts: readonly Part[],
  shrink: Resizer,
  scales: Scales,
): AsyncGenerator<object, void, undefined> {
  for (const { file, takes, rename: renamed = (name: string) => name } of parts)
    for await (const { key, value } of membersOf(file, ["annotations", "categories"])) {
      const image = value as Row & { file_name: string; width: number; height: number };
      if (key !== "images" || !takes(image.id)) continue;
      if (scales.has(image.id))
        throw new DatasetError(file, `has image ${image.id} a second time`, "Ids of images must differ in both files.");
      const made = await shrink.image({ ...image, file_name: renamed(image.file_name) });
      if (!made) continue;
      scales.set(image.id, made.scale);
      yield made.image;
    }
}

async function* categories({ file }: Part): AsyncGenerator<object, void, undefined> {
  for await (const { key, value } of membersOf(file, ["annotations", "images"]))
    if (key === "categories") yield value as object;
}

async function* annotations(parts: readonly Part[], scales: Scales): AsyncGenerator<object, void, undefined> {
  let id = 0;
  for (const { file, takes } of parts)
    for await (const { key, value } of membersOf(file, ["images", "categories"])) {
      const row = value as Row & { image_id: number; bbox: number[]; area?: number };
      const scale = scales.get(row.image_id);
      if (key !== "annotations" || !takes(row.image_id) || scale === undefined) continue;
      const bbox = row.bbox.map((length) => length * scale);
      yield { ...row, id: ++id, bbox, area: (row.area ?? row.bbox[2]! * row.bbox[3]!) * scale ** 2 };
    }
}

/** Makes images smaller, once each, and counts those that cannot be read. */
function resizer({ images, resize = true, onProgress }: Objects365Options) {
  let [done, dropped] = [0, 0];
  return {
    dropped: () => dropped,
    async image<Image extends { readonly file_name: string; readonly width: number; readonly height: number }>(
      image: Image,
    ): Promise<{ readonly image: Image; readonly scale: number } | undefined> {
      if (++done % 1000 === 0) onProgress?.(done);
      const scale = LONGEST / Math.max(image.width, image.height);
      if (!resize || scale >= 1) return { image, scale: 1 };
      const [width, height] = [Math.trunc(image.width * scale), Math.trunc(image.height * scale)];
      const ending = extname(image.file_name);
      const file_name = `${image.file_name.slice(0, image.file_name.length - ending.length)}_resized${ending}`;
      const to = join(images, file_name);
      if (!(await statOf(to))) {
        const small = await smaller(join(images, image.file_name), width, height);
        if (!small) {
          dropped++;
          return undefined;
        }
        await writeFileAtomic(to, small);
      }
      return { image: { ...image, file_name, width, height }, scale };
    },
  };
}

/** An image file made smaller; undefined where it cannot be read. @throws MissingPackageError */
async function smaller(file: string, width: number, height: number): Promise<Uint8Array | undefined> {
  const sharp = await loadSharp();
  try {
    return await sharp(file).resize(width, height, { fit: "fill", kernel: "lanczos3" }).toBuffer();
  } catch {
    return undefined;
  }
}
