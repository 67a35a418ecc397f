import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DatasetError } from "../../data/errors.ts";
import { type SplitName, splitDataset } from "../../data/splits.ts";
import { counted } from "../../describe.ts";
import type { DatasetParts, DatasetSplit, Datasets } from "./datasetParts.ts";
import type { DataFormat } from "./formats/format.ts";
import { DATA_FORMATS } from "./formats.ts";
import { isFolder, missingHint, statOf } from "./onDisk.ts";

/** How data is read. */
export interface LoadDataOptions {
  /** Share of the training images that is set aside for validation, always the same ones, where the data has no such part. */
  readonly valSplit?: number | undefined;
}

/**
 * Reads the named parts of a data set in any form of `DATA_FORMATS`: a data.yaml, a COCO file, or a folder as tools export
 * it; its parts agree about the classes. Of the parts that are `wanted` those that are not `needed` may be missing; by
 * default all are needed. A data set of one part whose name tells nothing is the first part that is needed. `notes` say
 * what was recognised.
 * @throws DatasetError when nothing is recognised, a part is not there, or a file is missing or wrong
 */
export async function loadData<Wanted extends SplitName, Needed extends Wanted = Wanted>(
  place: string,
  wanted: readonly Wanted[],
  needed: readonly Needed[] = wanted as readonly SplitName[] as readonly Needed[],
  { valSplit }: LoadDataOptions = {},
): Promise<Pick<DatasetParts, Wanted> & Record<Needed, DatasetSplit> & { readonly notes: readonly string[] }> {
  const wants = (name: SplitName) => (wanted as readonly SplitName[]).includes(name);
  const { how, parts, listed, notes } = await recognise(place, ({ read }, at) => read(at, wants));
  const { only, ...named } = parts;
  const first = (needed as readonly SplitName[])[0] ?? "train";
  const found: { [name in SplitName]?: DatasetSplit } = only ? { [first]: only, ...named } : named;
  const split = splitParts(found, valSplit);
  for (const name of needed) if (!split[name]) throw missing(place, name, listed);
  return {
    ...(split as Pick<DatasetParts, Wanted> & Record<Needed, DatasetSplit>),
    notes: [`read as ${how}`, ...notes, ...(split.notes ?? [])],
  };
}

/** Sets a share of the training images aside for validation, where one is given. @throws DatasetError where there is such a part */
export function splitParts(parts: DatasetParts, share: number | undefined): Datasets {
  const { train, val } = parts;
  if (share === undefined || !train) return parts;
  const { dataset, imageRoot } = train;
  if (val) throw new DatasetError(val.dataset.file, "is validation data of its own", "Leave --val-split out.");
  if (dataset.images.length < 2)
    throw new DatasetError(dataset.file, "has one image, of which no share can be set aside", "Leave --val-split out.");
  const [rest, aside] = splitDataset(dataset, share).map((one) => ({ dataset: one, imageRoot })) as [
    DatasetSplit,
    DatasetSplit,
  ];
  const count = aside.dataset.images.length;
  if (rest.dataset.images.length === 0)
    throw new DatasetError(
      dataset.file,
      `has ${counted(count, "image")}, all of which would be set aside`,
      "Give a smaller --val-split.",
    );
  const notes = [`${count} of ${counted(dataset.images.length, "image")} set aside for validation (--val-split)`];
  return { ...parts, train: rest, val: aside, notes };
}

function missing(place: string, name: SplitName, listed: readonly string[]): DatasetError {
  const others = listed.length === 0 ? "nothing" : listed.join(" and ");
  const remedy = `Add ${name}: { images: FOLDER, annotations: FILE.json } to a data.yaml, or a folder called ${name}; there is ${others}.`;
  return new DatasetError(place, `has no ${name}`, remedy);
}

/** Archives hold a folder in a folder. */
const DEEPEST = 3;

/** What the first form that a place has gives there, or in the only folder that it holds. @throws DatasetError naming what was looked for */
export async function recognise<T>(
  place: string,
  read: (format: DataFormat, at: string) => Promise<T | undefined>,
): Promise<T> {
  let at: string | undefined = place;
  if (!(await statOf(place)))
    throw new DatasetError(place, "does not exist", (await missingHint(place)) ?? "Check the path.");
  if (/\.(zip|tar|tgz|gz|7z|rar)$/i.test(place))
    throw new DatasetError(place, "is an archive", "Unpack it, and give its folder.");
  for (let depth = 0; at !== undefined && depth < DEEPEST; depth++) {
    for (const format of DATA_FORMATS) {
      const found = await read(format, at);
      if (found) return found;
    }
    at = await onlyFolder(at);
  }
  const known = DATA_FORMATS.flatMap((format) => format.known).join("; ");
  throw new DatasetError(place, "holds no data set that is recognised", `Looked for: ${known}.`);
}

/** The folder that is all that a folder holds. */
async function onlyFolder(folder: string): Promise<string | undefined> {
  if (!(await isFolder(folder))) return undefined;
  const names = (await readdir(folder)).filter((name) => !name.startsWith(".") && name !== "__MACOSX");
  const [name] = names;
  return names.length === 1 && (await isFolder(join(folder, name!))) ? join(folder, name!) : undefined;
}
