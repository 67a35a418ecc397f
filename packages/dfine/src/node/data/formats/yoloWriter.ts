import { join } from "node:path";
import { stringify } from "../../../config/yaml.ts";
import { yoloLine } from "../../../data/yoloText.ts";
import { counted } from "../../../describe.ts";
import { writeFileAtomic } from "../../checkpointFile.ts";
import type { DatasetParts } from "../datasetParts.ts";
import { resolveInside } from "../paths.ts";
import type { WriteTarget } from "./format.ts";
import { partsOf, writeText } from "./writing.ts";
import { labelPaths } from "./yolo.ts";

/** Writes YOLO labels: images/PART, labels/PART and Ultralytics' data.yaml. */
export async function writeYolo(data: DatasetParts, { folder, place }: WriteTarget): Promise<string[]> {
  let crowds = 0;
  const yaml: Record<string, unknown> = {};
  for (const { name, dataset, imageRoot, names } of partsOf(data)) {
    yaml[name] = `images/${name}`;
    yaml.names = Object.fromEntries(dataset.categories.map((category, label) => [label, category.name]));
    for (const image of dataset.images) {
      const path = names.get(image.id)!;
      const objects = dataset.annotationsByImage.get(image.id) ?? [];
      const kept = objects.filter(({ iscrowd }) => !iscrowd);
      crowds += objects.length - kept.length;
      const lines = kept.map(({ categoryId, bbox }) => `${yoloLine(dataset.labels.get(categoryId)!, bbox, image)}\n`);
      const to = join("images", name, path);
      await place(await resolveInside(imageRoot, image.fileName), to);
      // A file name may have a folder images of its own, and readers replace the last one.
      await writeText(labelPaths(join(folder, to))[0]!, lines.join(""));
    }
  }
  const { names, ...parts } = yaml;
  await writeFileAtomic(join(folder, "data.yaml"), stringify({ ...parts, names }));
  return crowds === 0 ? [] : [`YOLO has no regions that are ignored: ${counted(crowds, "crowd region")} left out`];
}
