import { DatasetError } from "./errors.ts";

export type Box = readonly [number, number, number, number];

/** An object of a YOLO label file: its class, and its box [x, y, width, height] as fractions of the image. */
export interface YoloObject {
  readonly label: number;
  readonly box: Box;
}

/** What a label file may hold. */
export interface YoloLabelsOptions {
  /** Number of classes. */
  readonly classes: number;
  /** Numbers after the box that belong to key points of a pose. Default 0. */
  readonly keypoints?: number;
}

/** By how much numbers may leave the image: tools round. */
const MARGIN = 0.01;
const FORM = "YOLO labels are lines of class, centre x, centre y, width, height as fractions of the image";

/**
 * Reads a YOLO label file: lines of class, centre and size, or of class and the corners of a polygon, which becomes the box
 * around it. `file` names it in messages.
 * @throws DatasetError naming the line
 */
export function parseYoloLabels(text: string, file: string, options: YoloLabelsOptions): YoloObject[] {
  const { classes, keypoints = 0 } = options;
  return text.split("\n").flatMap((line, i): YoloObject[] => {
    const shown = line.trim();
    if (shown === "") return [];
    const refuse = (problem: string, remedy: string) => new DatasetError(file, `line ${i + 1} ${problem}`, remedy);
    const [label, ...numbers] = shown.split(/\s+/).map(Number) as [number, ...number[]];
    if (![label, ...numbers].every(Number.isFinite))
      throw refuse(`is ${JSON.stringify(shown.slice(0, 60))}`, `${FORM}.`);
    if (!Number.isInteger(label) || label < 0 || label >= classes)
      throw refuse(
        `has class ${label}, but ${classes === 1 ? "the only class is 0" : `the ${classes} classes are 0 to ${classes - 1}`}`,
        "Correct the class, or name it under names.",
      );
    const isBox = numbers.length === 4 || (keypoints > 0 && numbers.length === 4 + keypoints);
    if (!isBox && (numbers.length < 6 || numbers.length % 2 !== 0))
      throw refuse(
        `has ${numbers.length + 1} numbers`,
        `${FORM}, or of class and the corners of a polygon${numbers.length === 5 ? "; leave out the score of a detection" : ""}.`,
      );
    const fractions = isBox ? numbers.slice(0, 4) : numbers;
    const odd = fractions.find((number) => number < -MARGIN || number > 1 + MARGIN);
    if (odd !== undefined)
      throw refuse(`has ${odd}, which is no fraction of the image`, `${FORM}: divide pixels by its width and height.`);
    return [{ label, box: isBox ? fromCentre(fractions) : around(fractions) }];
  });
}

export function fromCentre(numbers: readonly number[]): Box {
  const [cx, cy, w, h] = numbers as [number, number, number, number];
  return [cx - w / 2, cy - h / 2, w, h];
}

export function around(points: readonly number[]): Box {
  const [xs, ys] = [0, 1].map((axis) => points.filter((_, i) => i % 2 === axis)) as [number[], number[]];
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  return [left, top, Math.max(...xs) - left, Math.max(...ys) - top];
}

/** Fractions of a pixel that are told apart: what lies below is rounding of divisions. */
const STEPS = 1e6;

/** A box of fractions in pixels. */
export const yoloPixels = ([x, y, w, h]: Box, { width, height }: { width: number; height: number }): Box => {
  const [left, top, across, down] = [x * width, y * height, w * width, h * height].map(
    // Rounding what lies just below zero gives -0, which adding 0 makes 0.
    (side) => Math.round(side * STEPS) / STEPS + 0,
  );
  return [left!, top!, across!, down!];
};

/** With so many digits millionths of a pixel come back, in images of up to 100,000 pixels a side. */
const DIGITS = 12;

/** A line of a label file for a box [x, y, width, height] in pixels. */
export function yoloLine(
  label: number,
  [x, y, w, h]: Box,
  { width, height }: { width: number; height: number },
): string {
  const fractions = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height];
  return [label, ...fractions.map((one) => one.toFixed(DIGITS).replace(/\.?0+$/, ""))].join(" ");
}
