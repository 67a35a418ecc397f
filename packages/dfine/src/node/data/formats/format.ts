import type { SplitName } from "../../../data/splits.ts";
import type { DatasetParts, DatasetSplit } from "../datasetParts.ts";

/** A part of a data set; "only" where there is one whose name tells nothing. */
export type PartName = SplitName | "only";

/** A data set that was recognised, with the parts that were wanted. */
export interface Recognised {
  /** What it is, after "data: ". */
  readonly how: string;
  readonly parts: { readonly [name in PartName]?: DatasetSplit };
  /** Parts that there are, also those that were not wanted. */
  readonly listed: readonly PartName[];
  /** What people should know of how it was read, as sentences. */
  readonly notes: readonly string[];
}

/** Where a data set is written. */
export interface WriteTarget {
  /** Folder, which exists and is empty. */
  readonly folder: string;
  /** Puts an image's file at a path inside the folder. */
  readonly place: (from: string, to: string) => Promise<void>;
  /** Images stay where they are, and are named by paths there. */
  readonly leave: boolean;
}

/** A form in which data sets lie on disks. */
export interface DataFormat {
  /** On the command line. */
  readonly name: string;
  readonly title: string;
  /** What a place must hold to be recognised, as a list of forms. */
  readonly known: readonly string[];
  /** Reads the parts that are wanted; undefined where a place is something else. @throws DatasetError where it is faulty */
  readonly read: (place: string, wants: (name: SplitName) => boolean) => Promise<Recognised | undefined>;
  /** Writes parts, whose images have file names without `..` that differ in more than their endings; gives sentences about what the form cannot hold. */
  readonly write?: (parts: DatasetParts, target: WriteTarget) => Promise<readonly string[]>;
}
