/** An object of the data set that every export holds: its class, and its box [x, y, width, height] in whole pixels. */
export interface ExportedObject {
  readonly name: string;
  readonly bbox: readonly [number, number, number, number];
}

/** An image of it, called so without its ending. */
export interface ExportedImage {
  readonly stem: string;
  readonly width: number;
  readonly height: number;
  readonly objects: readonly ExportedObject[];
}

/** Classes of the data set, in their order. */
export const NAMES = ["cat", "dog", "鸟"];

interface CocoForm {
  readonly firstId?: number;
  readonly fileName: (image: ExportedImage) => string;
  readonly before?: readonly object[];
}

export function coco(images: readonly ExportedImage[], { firstId = 1, fileName, before = [] }: CocoForm): object {
  const objects = images.flatMap((image, i) => image.objects.map((object) => ({ ...object, image_id: i + firstId })));
  const first = firstId + before.length;
  return {
    info: { contributor: "", description: "", year: "" },
    licenses: [{ name: "", id: 0, url: "" }],
    categories: [...before, ...NAMES.map((name, i) => ({ id: i + first, name, supercategory: "" }))],
    images: images.map((image, i) => ({
      id: i + firstId,
      width: image.width,
      height: image.height,
      file_name: fileName(image),
      license: 0,
    })),
    annotations: objects.map(({ name, bbox, image_id }, i) => ({
      ...{ id: i + firstId, image_id, category_id: NAMES.indexOf(name) + first, segmentation: [] },
      ...{ bbox, area: bbox[2] * bbox[3], iscrowd: 0, attributes: { occluded: false } },
    })),
  };
}

/** Label lines as `digits` decimals; six are what most tools write. */
export const yolo = ({ width, height, objects }: ExportedImage, digits = 6): string =>
  objects
    .map(({ name, bbox: [x, y, w, h] }) =>
      [
        NAMES.indexOf(name),
        ...[(x + w / 2) / width, (y + h / 2) / height, w / width, h / height].map((one) => one.toFixed(digits)),
      ].join(" "),
    )
    .join("\n");

export const polygons = ({ width, height, objects }: ExportedImage): string =>
  objects
    .map(({ name, bbox: [x, y, w, h] }) => {
      const points = [
        [x, y + h / 2],
        [x + w / 2, y],
        [x + w, y + h / 3],
        [x + w / 3, y + h],
      ] as const;
      return [NAMES.indexOf(name), ...points.flatMap(([px, py]) => [px / width, py / height])].join(" ");
    })
    .join("\n");

interface VocForm {
  readonly filename: string;
  readonly corners: (bbox: ExportedObject["bbox"]) => readonly (number | string)[];
  readonly more?: string;
}

export function voc({ width, height, objects }: ExportedImage, { filename, corners, more = "" }: VocForm): string {
  const sides = ["xmin", "ymin", "xmax", "ymax"];
  const lines = objects.map(({ name, bbox }) => {
    const box = corners(bbox).map((side, i) => `<${sides[i]}>${side}</${sides[i]}>`);
    return `<object><name>${name}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult><bndbox>${box.join("")}</bndbox></object>`;
  });
  return `<?xml version="1.0" ?>\n<annotation>\n<folder>x</folder><filename>${filename}</filename>${more}
<size><width>${width}</width><height>${height}</height><depth>3</depth></size><segmented>0</segmented>
${lines.join("\n")}\n</annotation>\n`;
}

export const fromOne = ([x, y, w, h]: ExportedObject["bbox"]) => [x + 1, y + 1, x + w, y + h];
export const fromZero = ([x, y, w, h]: ExportedObject["bbox"]) => [x, y, x + w, y + h];
