import { join } from "node:path";
import { imageSetText, labelMapText, vocBox, vocXml } from "../../../data/vocText.ts";
import { counted } from "../../../describe.ts";
import type { DatasetParts } from "../datasetParts.ts";
import { resolveInside } from "../paths.ts";
import type { WriteTarget } from "./format.ts";
import { partsOf, withEnding, writeText } from "./writing.ts";

/** Writes PASCAL VOC: Annotations, JPEGImages, ImageSets/Main/PART.txt, and the classes in labelmap.txt. */
export async function writeVoc(data: DatasetParts, { folder, place }: WriteTarget): Promise<string[]> {
  let [rounded, outside] = [0, 0];
  for (const { name, dataset, imageRoot, names } of partsOf(data, false)) {
    const classes = dataset.categories.map((category) => category.name);
    for (const image of dataset.images) {
      const path = names.get(image.id)!;
      const objects = (dataset.annotationsByImage.get(image.id) ?? []).flatMap(({ categoryId, bbox, iscrowd }) => {
        const box = vocBox(bbox, image);
        if (!box) outside++;
        else if (!bbox.every(Number.isInteger)) rounded++;
        return box ? [{ name: classes[dataset.labels.get(categoryId)!]!, difficult: iscrowd, box }] : [];
      });
      await place(await resolveInside(imageRoot, image.fileName), join("JPEGImages", path));
      await writeText(join(folder, "Annotations", withEnding(path, ".xml")), vocXml(path, image, objects));
    }
    const listed = dataset.images.map(({ id }) => withEnding(names.get(id)!, ""));
    await writeText(join(folder, "ImageSets", "Main", `${name}.txt`), imageSetText(listed));
    await writeText(join(folder, "labelmap.txt"), labelMapText(classes));
  }
  return [
    rounded > 0 && `VOC has whole pixels: ${counted(rounded, "box was", "boxes were")} rounded`,
    outside > 0 && `${counted(outside, "box", "boxes")} outside the image left out`,
  ].filter((note) => note !== false);
}
