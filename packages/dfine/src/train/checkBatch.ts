import { describe } from "../describe.ts";
import { checkInputSize, type ModelConfig } from "../model/architectures.ts";
import { resizeProblem } from "../predictor.ts";
import type { TrainingBatch } from "./batch.ts";

/** A batch that would fail somewhere in the model, or worse, train it to something senseless. */
export class BatchError extends Error {
  override readonly name = "BatchError";
}

/** Float32 arithmetic may push a clamped box so far over an edge. */
const MARGIN = 1e-3;

/**
 * Makes sure that a batch is one that `model` can learn from.
 * @throws BatchError naming the image and box; ConfigError for an input size that does not suit the model
 */
export function checkBatch(batch: TrainingBatch, model: ModelConfig): void {
  const { images, shape, targets } = batch;
  const [count, channels, height, width] = shape;
  if (shape.length !== 4 || channels !== 3)
    throw new BatchError(`batch: its shape is [${shape}], not [B, 3, H, W]; give RGB, channel by channel`);
  const wanted = count * 3 * height * width;
  if (images.length !== wanted)
    throw new BatchError(
      `batch: shape [${shape}] takes ${wanted} values, got ${images.length}; give one slot per image`,
    );
  if (targets.length !== count)
    throw new BatchError(`batch: ${count} images, but targets for ${targets.length}; give one entry for each image`);
  checkInputSize(model, [height, width]);
  const { validSizes } = batch;
  const fits = ([h, w]: readonly [number, number]) => h >= 1 && h <= height && w >= 1 && w <= width;
  if (validSizes && (validSizes.length !== count || !validSizes.every(fits)))
    throw new BatchError(
      `batch: validSizes [${validSizes.map(([h, w]) => `${h}x${w}`)}] are not the sizes of ${count} images within ${height}x${width}; give [height, width] for each image, or leave them out where none is padded`,
    );
  const problem = resizeProblem(batch, model);
  if (problem !== undefined) throw new BatchError(`batch: ${problem}`);
  for (let i = 0; i < count; i++) checkTargets(batch, i, model.classes.length);
}

function checkTargets({ targets, imageIds }: TrainingBatch, image: number, classes: number): void {
  const { labels, boxes } = targets[image]!;
  const at = `batch: image ${image}${imageIds[image] === undefined ? "" : ` (id ${imageIds[image]})`}`;
  if (boxes.length !== 4 * labels.length)
    throw new BatchError(
      `${at}: ${labels.length} labels, but ${boxes.length} numbers of boxes; give four for each label`,
    );
  for (let j = 0; j < labels.length; j++) {
    const label = labels[j]!;
    if (!(Number.isInteger(label) && label >= 0 && label < classes))
      throw new BatchError(
        `${at}: label ${label} is none of the model's ${classes} classes; labels count from 0 to ${classes - 1}`,
      );
    const box = Array.from(boxes.subarray(4 * j, 4 * j + 4));
    const [cx, cy, w, h] = box as [number, number, number, number];
    const fits = box.every((value) => value >= -MARGIN && value <= 1 + MARGIN);
    // Written so that NaN does not pass.
    if (fits && w > 0 && h > 0) continue;
    const shown = describe(box.map((value) => Number(value.toPrecision(4))));
    const isPixels = box.every(Number.isFinite) && Math.max(cx, cy, w, h) > 2;
    throw new BatchError(
      isPixels
        ? `${at}: box ${shown} is not in fractions of the image; divide by its width and height`
        : `${at}: box ${shown} is not [cx, cy, width, height] with a size above 0, all within 0 to 1`,
    );
  }
}
