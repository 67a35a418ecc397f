/** An image of a data set; sizes in pixels. */
export interface CocoImage {
  readonly id: number;
  readonly fileName: string;
  readonly width: number;
  readonly height: number;
}

/** A class: COCO's id, which may have gaps, and its name. */
export interface CocoCategory {
  readonly id: number;
  readonly name: string;
}

/** One object; box and area in pixels of the image. */
export interface CocoAnnotation {
  readonly id: number;
  readonly categoryId: number;
  /** x, y, width, height. */
  readonly bbox: readonly [number, number, number, number];
  /** The annotation's own area (a mask's, often), or the box's where it has none. */
  readonly area: number;
  /** A region of many objects: never a target, and no miss when nothing is found in it. */
  readonly iscrowd: boolean;
}

/** A COCO instances file, checked. Labels are positions in `categories`. */
export interface CocoDataset {
  /** Where it came from, for messages. */
  readonly file: string;
  /** In ascending id order. */
  readonly images: readonly CocoImage[];
  /** In ascending id order: label 0, 1, …. */
  readonly categories: readonly CocoCategory[];
  /** Category id → label. */
  readonly labels: ReadonlyMap<number, number>;
  /** Image id → its objects in file order; every image has an entry. */
  readonly annotationsByImage: ReadonlyMap<number, readonly CocoAnnotation[]>;
}
