import fc from "fast-check";
import type { CocoDataset } from "../src/data/dataset.ts";
import { cocoDataset } from "../src/data/parseCoco.ts";
import type { Detection } from "../src/evaluation/detections.ts";

/** An object as a COCO file has it. */
export interface Row {
  readonly image_id: number;
  readonly category_id: number;
  readonly bbox: readonly [number, number, number, number];
  readonly iscrowd: number;
  /** Part of the box that the object's area fills. */
  readonly share: number;
}

export const imageIds = [3, 1, 8];
export const categoryIds = [5, 2];
const box = fc.tuple(fc.nat(200), fc.nat(200), fc.integer({ min: 1, max: 150 }), fc.integer({ min: 1, max: 150 }));
export const rows: fc.Arbitrary<Row[]> = fc.array(
  fc.record({
    image_id: fc.constantFrom(...imageIds),
    category_id: fc.constantFrom(...categoryIds),
    bbox: box,
    iscrowd: fc.constantFrom(0, 0, 0, 1),
    share: fc.double({ min: 0.3, max: 1, noNaN: true }),
  }),
  { maxLength: 12 },
);

/** A data set of three images and two categories. */
export function truthOf(list: readonly Row[], scale = 1): CocoDataset {
  return cocoDataset(
    {
      images: imageIds.map((id) => ({ id, file_name: `${id}.png`, width: 400 * scale, height: 400 * scale })),
      categories: categoryIds.map((id) => ({ id, name: `c${id}` })),
      annotations: list.map(({ share, ...row }, i) => ({
        ...row,
        id: i + 1,
        bbox: row.bbox.map((value) => value * scale),
        area: row.bbox[2] * row.bbox[3] * share * scale * scale,
      })),
    },
    "truth",
  );
}

/** Detections near the objects and elsewhere; few score levels, so that ties happen. */
export function detectionsFor(list: readonly Row[]): fc.Arbitrary<Detection[]> {
  const score = fc.integer({ min: 0, max: 12 }).map((twelfths) => twelfths / 12);
  const jitter = fc.tuple(fc.integer({ min: -9, max: 9 }), fc.integer({ min: -9, max: 9 }), fc.nat(12), fc.nat(12));
  const far = fc.record({
    imageId: fc.constantFrom(...imageIds),
    categoryId: fc.constantFrom(...categoryIds),
    bbox: box,
    score,
  });
  const near = fc.tuple(fc.nat(Math.max(0, list.length - 1)), jitter, score).map(([which, by, level]): Detection => {
    const { image_id, category_id, bbox } = list[which]!;
    const [x, y, w, h] = bbox;
    return {
      imageId: image_id,
      categoryId: category_id,
      bbox: [x + by[0], y + by[1], w + by[2], h + by[3]],
      score: level,
    };
  });
  return fc.array<Detection>(list.length === 0 ? far : fc.oneof({ weight: 4, arbitrary: near }, far), {
    maxLength: 30,
  });
}

/** Objects, and detections of them. */
export const scene = rows.chain((list) => fc.tuple(fc.constant(list), detectionsFor(list)));

/** The same with no two scores alike. */
export const distinct = ([list, detections]: readonly [Row[], Detection[]]) =>
  [list, detections.map((one, i) => ({ ...one, score: one.score + i * 1e-4 }))] as const;
