import { createImage, type RgbImage } from "../data/image.ts";
import { resizeBilinear } from "../data/resize.ts";
import type { Targets } from "../data/targets.ts";
import * as rule from "../optionRules.ts";
import type { BatchSource, TrainingBatch } from "../train/batch.ts";
import { type Drawn, drawBoxes } from "./draw.ts";

/** What a sheet shows. */
export interface PreviewOptions {
  /** Class names in label order. */
  readonly names: readonly string[];
  /** Images on the sheet; fewer where the epoch has no more. Default 16. */
  readonly images?: number;
  /** Whose batches they are, from 0. Default 0. */
  readonly epoch?: number;
}

const OPTIONS: rule.OptionRules<PreviewOptions> = {
  names: rule.needed(rule.texts),
  images: rule.whole(1),
  epoch: rule.whole(0),
};

/** Longer side of an image on the sheet, and the room between images, pixels. */
const SIDE = 320;
const GAP = 4;

/**
 * A sheet of the first images of an epoch as training gets them, augmented and resized, with their boxes and labels.
 * @throws DatasetError as the source does, ArgumentError for options
 */
export async function previewSheet(source: BatchSource, options: PreviewOptions): Promise<RgbImage> {
  rule.checkOptions("previewSheet", options, OPTIONS);
  const { names, images: wanted = 16, epoch = 0 } = options;
  const tiles: RgbImage[] = [];
  for await (const batch of source.batches(epoch)) {
    tiles.push(...batch.targets.map((targets, slot) => tile(imageOf(batch, slot), targets, names)));
    if (tiles.length >= wanted) break;
  }
  return arranged(tiles.slice(0, wanted));
}

/** An image of a batch as pixels. */
function imageOf({ images, shape, validSizes }: TrainingBatch, slot: number): RgbImage {
  const [, , rows, columns] = shape;
  const [height, width] = validSizes?.[slot] ?? [rows, columns];
  const out = createImage(width, height);
  let to = 0;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let channel = 0; channel < 3; channel++)
        out.data[to++] = Math.round(255 * images[((3 * slot + channel) * rows + y) * columns + x]!);
  return out;
}

function tile(image: RgbImage, { labels, boxes }: Targets, names: readonly string[]): RgbImage {
  const scale = SIDE / Math.max(image.width, image.height);
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * scale)));
  const drawn = Array.from(labels, (classId, i): Drawn => {
    const [cx, cy, w, h] = boxes.subarray(4 * i, 4 * i + 4) as unknown as [number, number, number, number];
    const [x, y] = [
      [cx - w / 2, cx + w / 2],
      [cy - h / 2, cy + h / 2],
    ] as const;
    const box = { xmin: x[0] * width!, xmax: x[1] * width!, ymin: y[0] * height!, ymax: y[1] * height! };
    return { text: names[classId] ?? String(classId), classId, box };
  });
  return drawBoxes(resizeBilinear(image, width!, height!), drawn);
}

/** Images side by side, in rows, on black. */
function arranged(tiles: readonly RgbImage[]): RgbImage {
  const columns = Math.ceil(Math.sqrt(tiles.length));
  const rows = Math.ceil(tiles.length / columns);
  const [cellWidth, cellHeight] = (["width", "height"] as const).map(
    (side) => Math.max(...tiles.map((image) => image[side])) + GAP,
  );
  const out = createImage(columns * cellWidth! - GAP, rows * cellHeight! - GAP);
  for (const [i, { width, height, data }] of tiles.entries()) {
    const [left, top] = [(i % columns) * cellWidth!, Math.floor(i / columns) * cellHeight!];
    for (let y = 0; y < height; y++)
      out.data.set(data.subarray(3 * y * width, 3 * (y + 1) * width), 3 * ((top + y) * out.width + left));
  }
  return out;
}
