import crc32 from "crc/calculators/crc32";
import * as z from "zod";
import type { CocoDataset } from "./dataset.ts";

export const datasetFactsSchema = z.object({
  images: z.int().min(0),
  /** Names in label order. */
  categories: z.array(z.string()),
  /** Of the list of images with their sizes, labels and boxes; ids do not count. */
  digest: z.string(),
});

/** By what a data set is known again. @interface */
export type DatasetFacts = z.infer<typeof datasetFactsSchema>;

export function datasetFacts({ images, categories, labels, annotationsByImage }: CocoDataset): DatasetFacts {
  const utf8 = new TextEncoder();
  // Image by image: the text of a large data set would not fit one string.
  const digests = Uint32Array.from(images, ({ id, fileName, width, height }) => {
    const objects = annotationsByImage.get(id)!.map((one) => [labels.get(one.categoryId), one.bbox, one.iscrowd]);
    return crc32(utf8.encode(JSON.stringify([fileName, width, height, objects])));
  });
  const digest = (crc32(new Uint8Array(digests.buffer)) >>> 0).toString(16).padStart(8, "0");
  return { images: images.length, categories: categories.map(({ name }) => name), digest };
}
