import type { Detection } from "./evaluation/detections.ts";
import type { Detections } from "./postprocess.ts";

/** Lowest score that is shown where nothing tells a better one. */
export const USUAL_THRESHOLD = 0.5;

/** Corners in pixels of the original image. */
export interface Box {
  readonly xmin: number;
  readonly ymin: number;
  readonly xmax: number;
  readonly ymax: number;
}

/** One object found in an image. */
export interface DetectedObject {
  readonly label: string;
  readonly classId: number;
  /** Confidence, 0–1. */
  readonly score: number;
  readonly box: Box;
}

/** What a `Result` is made of besides its objects. */
export interface ResultImage {
  readonly width: number;
  readonly height: number;
  /** Class names by class id. */
  readonly names: readonly string[];
}

/** The objects found in one image, best first. */
export class Result implements Iterable<DetectedObject> {
  readonly objects: readonly DetectedObject[];
  /** Size of the image, pixels. */
  readonly width: number;
  readonly height: number;
  readonly names: readonly string[];

  constructor(objects: readonly DetectedObject[], image: ResultImage) {
    this.objects = objects;
    this.width = image.width;
    this.height = image.height;
    this.names = image.names;
  }

  get length(): number {
    return this.objects.length;
  }

  /** The objects, best first. */
  [Symbol.iterator](): Iterator<DetectedObject> {
    return this.objects[Symbol.iterator]();
  }

  /** As COCO results. `categoryIds` gives the id of each class id; default: the class id itself. */
  toCOCO(imageId: number, categoryIds?: readonly number[]): Detection[] {
    return this.objects.map(({ classId, score, box }) => ({
      imageId,
      categoryId: categoryIds?.[classId] ?? classId,
      bbox: [box.xmin, box.ymin, box.xmax - box.xmin, box.ymax - box.ymin],
      score,
    }));
  }

  /** As YOLO labels: a line `class cx cy width height` for each object, in shares of the image. */
  toYOLO(): string {
    const { width, height } = this;
    const line = ({ classId, box: { xmin, ymin, xmax, ymax } }: DetectedObject): string => {
      const numbers = [
        (xmin + xmax) / 2 / width,
        (ymin + ymax) / 2 / height,
        (xmax - xmin) / width,
        (ymax - ymin) / height,
      ];
      return `${classId} ${numbers.map((value) => value.toFixed(6)).join(" ")}\n`;
    };
    return this.objects.map(line).join("");
  }

  /** Size and objects, for `JSON.stringify`. */
  toJSON(): object {
    return { width: this.width, height: this.height, objects: this.objects };
  }
}

/** Keeps the best detections of an image, from the score `threshold` on, and cuts their boxes at its edges. */
export function toResult(
  detections: Detections,
  options: ResultImage & { readonly threshold: number; readonly maxDetections: number },
): Result {
  const { width, height, names, threshold, maxDetections } = options;
  const objects: DetectedObject[] = [];
  for (let i = 0; i < detections.scores.length && objects.length < maxDetections; i++) {
    const score = detections.scores[i]!;
    if (!(score >= threshold)) break;
    const classId = detections.labels[i]!;
    const at = (k: number, limit: number) => Math.min(Math.max(detections.boxes[i * 4 + k]!, 0), limit);
    objects.push({
      label: names[classId] ?? String(classId),
      classId,
      score,
      box: { xmin: at(0, width), ymin: at(1, height), xmax: at(2, width), ymax: at(3, height) },
    });
  }
  return new Result(objects, { width, height, names });
}
