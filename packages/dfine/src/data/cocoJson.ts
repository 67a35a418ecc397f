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
