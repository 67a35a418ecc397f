import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { cocoJsonOf } from "../../../data/cocoJson.ts";
import { writeFileAtomic } from "../../checkpointFile.ts";
import { cocoText } from "../../convert/cocoText.ts";
import type { DatasetParts } from "../datasetParts.ts";
import { resolveInside } from "../paths.ts";
import type { WriteTarget } from "./format.ts";
import { partsOf } from "./writing.ts";

/** Writes COCO JSON: annotations/instances_PART.json, images/PART and a data.yaml that names them. */
export async function writeCoco(data: DatasetParts, { folder, place, leave }: WriteTarget): Promise<string[]> {
  await mkdir(join(folder, "annotations"), { recursive: true });
  const lines: string[] = [];
  for (const { name, dataset, imageRoot, names } of partsOf(data)) {
    const annotations = `annotations/instances_${name}.json`;
    const images = leave ? resolve(imageRoot) : `images/${name}`;
    if (!leave)
      for (const { id, fileName } of dataset.images)
        await place(await resolveInside(imageRoot, fileName), join(images, names.get(id)!));
    const renamed = leave
      ? dataset
      : { ...dataset, images: dataset.images.map((image) => ({ ...image, fileName: names.get(image.id)! })) };
    await writeFileAtomic(join(folder, annotations), cocoText(cocoJsonOf(renamed)));
    lines.push(`${name}: { images: ${JSON.stringify(images)}, annotations: ${annotations} }\n`);
  }
  await writeFileAtomic(join(folder, "data.yaml"), lines.join(""));
  return [];
}
