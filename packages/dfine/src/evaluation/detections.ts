import { DatasetError } from "../data/errors.ts";
import { readJson } from "../data/readJson.ts";
import { describe } from "../describe.ts";

/** One found object, as a COCO results file holds it. */
export interface Detection {
  readonly imageId: number;
  /** COCO's category id, not the label. */
  readonly categoryId: number;
  /** x, y, width, height in pixels of the original image. */
  readonly bbox: readonly [number, number, number, number];
  readonly score: number;
}

/**
 * Reads a COCO results list: [{image_id, category_id, bbox, score}, …]. `file` names it in messages.
 * @throws DatasetError naming the row, what stands there and the remedy
 */
export function parseDetections(text: string, file: string): Detection[] {
  const json = readJson(text, file);
  if (!Array.isArray(json)) {
    throw new DatasetError(file, "is not a list", "Detections are a list of {image_id, category_id, bbox, score}.");
  }
  return json.map((row: unknown, i): Detection => {
    const { image_id, category_id, bbox, score } = (row ?? {}) as Record<string, unknown>;
    const numbers = [image_id, category_id, score, ...(Array.isArray(bbox) ? bbox : [])];
    if (numbers.length !== 7 || !numbers.every(Number.isFinite)) {
      throw new DatasetError(
        file,
        `[${i}] is ${describe(row)}`,
        "A detection is {image_id, category_id, bbox: [x, y, width, height], score} with finite numbers.",
      );
    }
    return {
      imageId: image_id as number,
      categoryId: category_id as number,
      bbox: bbox as [number, number, number, number],
      score: score as number,
    };
  });
}

/** The COCO results form of detections, ready for JSON. */
export function toCocoResults(detections: readonly Detection[]): object[] {
  return detections.map(({ imageId, categoryId, bbox, score }) => ({
    image_id: imageId,
    category_id: categoryId,
    bbox: [...bbox],
    score,
  }));
}
