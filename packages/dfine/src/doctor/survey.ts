import type { Reading } from "../data/cocoUnits.ts";
import type { SplitName } from "../data/splits.ts";

/** An entry of a list in an annotation file. Mending changes `values`, or drops it. */
export interface Row {
  readonly list: "images" | "annotations" | "categories";
  /** Its place in the list. */
  readonly index: number;
  /** Empty where the entry is no object. */
  values: Record<string, unknown>;
  /** What stands there in place of an object. */
  readonly instead?: unknown;
  /** Of an object: its YOLO label was in pixels in place of fractions. */
  inPixels?: boolean;
  dropped: boolean;
}

/** What the file of an image is like. */
export interface ImageFacts {
  /** Where it is, without links; undefined where it is not there. */
  readonly source?: string;
  /** The same inside the image folder, with "/" between folders: the right `file_name`. */
  readonly path?: string;
  /** How `file_name` differs from that, or why there is no file, and the end of a sentence about it. */
  readonly naming?: readonly [
    kind: "path-outside" | "path-separators" | "image-spelling" | "image-missing",
    is: string,
  ];
  /** Why it cannot be used, and the end of a sentence about it. */
  readonly problem?: readonly [kind: "image-corrupt" | "image-format" | "image-oversized", is: string];
  /** In pixels, before it is turned. */
  readonly stored?: Size;
  /** EXIF's, from 1 (as stored) to 8; from 5 on width and height change places. */
  readonly orientation?: number;
  /** Of the file's bytes. */
  readonly digest?: string;
  /** [16, 16] grey levels of the whole picture. */
  readonly thumbnail?: Uint8Array;
  /** Inks or 16 bits, which are turned into 8-bit RGB. */
  readonly colour?: string | undefined;
  /** How the corrected copy is written: turned as EXIF says, or as stored without its EXIF. Undefined: as it is. */
  readonly rewrite?: "turned" | "stored";
}

/** An image of an annotation file, and what its file is like. */
export interface ImageRow extends Row {
  facts: ImageFacts;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** What is odd about a box, as a kind of fault; `corners` are those of the box as it was meant, in pixels. */
export interface Odd {
  readonly kind:
    | "boxes-not-numbers"
    | "boxes-pixels"
    | "boxes-fractions"
    | "boxes-corners"
    | "boxes-degenerate"
    | "boxes-outside"
    | "boxes-beyond";
  readonly corners?: readonly [number, number, number, number];
  readonly reading?: Reading;
}

/** An annotation and what it belongs to. */
export interface ObjectRow {
  readonly row: Row;
  /** Undefined where no image, or no category, has the id. */
  readonly image: ImageRow | undefined;
  readonly category: Row | undefined;
  /** Where they are four finite numbers. */
  readonly box: readonly [number, number, number, number] | undefined;
  /** What is odd about the box; undefined where nothing is, or nothing can be said. */
  odd: Odd | undefined;
}

/** The entries that are not dropped, by what is looked for. */
export interface PartIndex {
  readonly images: readonly ImageRow[];
  readonly categories: readonly Row[];
  /** The first with an id. */
  readonly imageOf: ReadonlyMap<unknown, ImageRow>;
  readonly categoryOf: ReadonlyMap<unknown, Row>;
  readonly objects: readonly ObjectRow[];
  readonly objectsOf: ReadonlyMap<ImageRow, readonly ObjectRow[]>;
}

/** What is wrong with a file as a whole: a kind of fault, and the end of a sentence. */
export type FileProblem = readonly [
  kind: "annotations-unreadable" | "file-encoding" | "json-nan" | "names-differ",
  is: string,
];

/** A part of a data set, as it stands in its files. */
export interface PartSource {
  readonly name: SplitName;
  /** Of annotations. */
  readonly file: string;
  readonly imageRoot: string;
  readonly problems: FileProblem[];
  readonly images: readonly ImageRow[];
  readonly annotations: readonly Row[];
  readonly categories: Row[];
}

export const pixelsOf = (values: Row["values"]): Size | undefined => {
  const { width, height } = values;
  const fits = (side: unknown): side is number => Number.isSafeInteger(side) && (side as number) > 0;
  return fits(width) && fits(height) ? { width, height } : undefined;
};

/** Sizes that an image has: as people see it, and as stored where that differs. */
export function sizesOf({ stored, orientation = 1 }: ImageFacts): Size[] {
  if (!stored) return [];
  return orientation >= 5 ? [{ width: stored.height, height: stored.width }, stored] : [stored];
}

export const sameSize = (a: Size, b: Size): boolean => a.width === b.width && a.height === b.height;
