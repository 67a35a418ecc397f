import { around, type Box, fromCentre, yoloPixels } from "../data/yoloText.ts";
import type { Row, Size } from "./survey.ts";

/** By how much fractions may leave the image: tools round. */
const MARGIN = 0.01;

/**
 * The lines of a YOLO label file as COCO annotations without ids, whatever is wrong with them: classes as they are, boxes in
 * pixels, also those that were written so. Lines that are no labels stand as they are, with a mark of the file.
 */
export function* yoloRows(
  text: string,
  { file, keypoints, size }: { file: string; keypoints: number; size: Size | undefined },
): Generator<Pick<Row, "values" | "instead" | "inPixels">> {
  for (const line of text.split("\n")) {
    const shown = line.trim();
    if (shown === "") continue;
    const [label, ...numbers] = shown.split(/\s+/).map(Number);
    const isBox = numbers.length === 4 || (keypoints > 0 && numbers.length === 4 + keypoints);
    const isPolygon = !isBox && numbers.length >= 6 && numbers.length % 2 === 0;
    if (!Number.isInteger(label) || !(isBox || isPolygon)) {
      yield { values: {}, instead: `${file}: ${shown.slice(0, 60)}` };
      continue;
    }
    const box: Box = isBox ? fromCentre(numbers.slice(0, 4)) : around(numbers);
    const inPixels = numbers.slice(0, isBox ? 4 : undefined).some((number) => number > 1 + MARGIN);
    const bbox = inPixels || !size ? box : yoloPixels(box, size);
    yield { values: { category_id: label, bbox, iscrowd: 0 }, ...(inPixels ? { inPixels } : {}) };
  }
}
