import type { CocoDataset } from "./dataset.ts";

/** COCO annotations as they stand in a file; boxes are [x, y, width, height] in pixels. */
export interface CocoJson {
  readonly images: readonly CocoJsonImage[];
  readonly categories: readonly { readonly id: number; readonly name: string }[];
  readonly annotations: readonly CocoJsonAnnotation[];
}

/** An image of a `CocoJson`. */
export interface CocoJsonImage {
  readonly id: number;
  readonly file_name: string;
  readonly width: number;
  readonly height: number;
}

/** An object of a `CocoJson`. */
export interface CocoJsonAnnotation {
  readonly id: number;
  readonly image_id: number;
  readonly category_id: number;
  readonly bbox: readonly number[];
  readonly area: number;
  readonly iscrowd: 0 | 1;
}

/** A data set as it stands in a COCO file: `cocoDataset` of it is the same again. Rows are made as they are read. */
export function cocoJsonOf({ images, categories, annotationsByImage }: CocoDataset) {
  return {
    images: (function* (): Generator<CocoJsonImage> {
      for (const { id, fileName, width, height } of images) yield { id, file_name: fileName, width, height };
    })(),
    categories,
    annotations: (function* (): Generator<CocoJsonAnnotation> {
      for (const { id: image_id } of images)
        for (const { id, categoryId, bbox, area, iscrowd } of annotationsByImage.get(image_id) ?? [])
          yield { id, image_id, category_id: categoryId, bbox, area, iscrowd: iscrowd ? 1 : 0 };
    })(),
  };
}
