import crc32 from "crc/calculators/crc32";
import type { CocoDataset, CocoImage } from "./dataset.ts";

/** The parts that a data set may have. */
export type SplitName = "train" | "val" | "test";
export const SPLITS: readonly SplitName[] = ["train", "val", "test"];

/** What folders and files of the parts are called, as whole words. */
const WORDS: Readonly<Record<string, SplitName>> = {
  ...{ train: "train", training: "train", trainval: "train" },
  ...{ val: "val", valid: "val", validation: "val", dev: "val", minival: "val" },
  ...{ test: "test", testing: "test" },
};

/** The part that a file's or folder's name tells, as `instances_val2017` does; undefined for other names. */
export function splitOf(name: string): SplitName | undefined {
  const words = name.toLowerCase().split(/[^a-z]+/);
  const found = words.find((word) => Object.hasOwn(WORDS, word));
  return found === undefined ? undefined : WORDS[found];
}

/**
 * Sets a share of a data set's images aside, at least one: always the same ones, chosen by their file names.
 * @returns the rest, and what was set aside
 */
export function splitDataset(dataset: CocoDataset, share: number): [rest: CocoDataset, aside: CocoDataset] {
  const utf8 = new TextEncoder();
  const draw = new Map(dataset.images.map(({ id, fileName }) => [id, crc32(utf8.encode(fileName)) >>> 0]));
  const order = [...dataset.images].sort((a, b) => draw.get(a.id)! - draw.get(b.id)! || a.id - b.id);
  const count = Math.max(1, Math.round(share * order.length));
  const aside = new Set(order.slice(0, count).map(({ id }) => id));
  return [part(dataset, ({ id }) => !aside.has(id)), part(dataset, ({ id }) => aside.has(id))];
}

function part(dataset: CocoDataset, takes: (image: CocoImage) => boolean): CocoDataset {
  const images = dataset.images.filter(takes);
  const annotationsByImage = new Map(images.map(({ id }) => [id, dataset.annotationsByImage.get(id)!]));
  return { ...dataset, images, annotationsByImage };
}
