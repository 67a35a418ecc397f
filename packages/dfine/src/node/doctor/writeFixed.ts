import { constants } from "node:fs";
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import pLimit from "p-limit";
import { stringify } from "../../config/yaml.ts";
import { DatasetError } from "../../data/errors.ts";
import type { ImageRow, Row } from "../../doctor/survey.ts";
import type { Survey, SurveyPart } from "../../doctor/surveyPart.ts";
import { writeFileAtomic } from "../checkpointFile.ts";
import { cocoText } from "../convert/cocoText.ts";
import { loadSharp } from "../optional.ts";
import { makeFolder } from "../runFolder.ts";

/** Files that are copied at the same time. */
const PARALLEL = 4;
/** Of images that are saved anew because EXIF turned them; small losses that no detector sees. */
const QUALITY = 95;

/**
 * Writes what is left of a mended data set into a folder: images, COCO annotations and, at last, data.yaml, whose path is
 * returned.
 * @throws DatasetError where a part cannot be read, or has no images left; FileWriteError; the signal's reason
 */
export async function writeFixed(
  { parts }: Survey,
  out: string,
  { signal, onImage }: { signal?: AbortSignal | undefined; onImage: () => void },
): Promise<string> {
  await makeFolder(join(out, "annotations"));
  const yaml: Record<string, { images: string; annotations: string }> = {};
  for (const { name, index } of parts) {
    const { images } = index;
    await pLimit(PARALLEL).map(images, async (row) => {
      signal?.throwIfAborted();
      await writeImage(row, join(out, "images", name, row.values.file_name as string));
      onImage();
    });
    const lists = {
      images: valuesOf(images),
      categories: valuesOf(index.categories),
      annotations: annotationsOf(index),
    };
    await writeFileAtomic(join(out, "annotations", `${name}.json`), cocoText(lists));
    yaml[name] = { images: `images/${name}`, annotations: `annotations/${name}.json` };
  }
  const data = join(out, "data.yaml");
  await writeFileAtomic(data, stringify(yaml));
  return data;
}

/** @throws DatasetError where there is nothing to correct */
export function checkFixable({ parts }: Survey): void {
  for (const { source, index } of parts) {
    const unread = source.problems.find(([kind]) => kind === "annotations-unreadable");
    if (unread)
      throw new DatasetError(source.file, unread[1], "Mend that first: without it there is nothing to correct.");
    if (index.images.length === 0)
      throw new DatasetError(source.file, "has no image left once its faults are mended", "Mend the images first.");
  }
}

const valuesOf = (rows: readonly Row[]): Row["values"][] => rows.map(({ values }) => values);

/** With ids for those that have none. */
function annotationsOf({ objects }: SurveyPart["index"]): Row["values"][] {
  const ids = objects.map(({ row }) => row.values.id).filter((id): id is number => Number.isSafeInteger(id));
  let next = ids.reduce((a, b) => Math.max(a, b), 0) + 1;
  return objects.map(({ row: { values } }) => (Number.isSafeInteger(values.id) ? values : { ...values, id: next++ }));
}

async function writeImage({ facts }: ImageRow, to: string): Promise<void> {
  const { source, rewrite } = facts;
  await mkdir(dirname(to), { recursive: true });
  if (rewrite === undefined) return await copyFile(source!, to, constants.COPYFILE_FICLONE);
  const sharp = await loadSharp();
  const bytes = await readFile(source!);
  const image = sharp(bytes, { autoOrient: rewrite === "turned", ignoreIcc: true });
  const { format } = await image.metadata();
  await writeFileAtomic(to, await image.toFormat(format, { quality: QUALITY }).toBuffer());
}
