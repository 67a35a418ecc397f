import { type Backend, OutOfMemoryError, Random } from "@dfine/tensor";
import type { Config } from "../config/config.ts";
import { largestSize } from "../data/multiScale.ts";
import * as rule from "../optionRules.ts";
import type { TrainingBatch } from "./batch.ts";
import { Trainer } from "./trainer.ts";

/** What a batch has to fit. */
export interface LargestBatchOptions {
  readonly config: Config;
  /** Where steps are tried; stays the caller's. */
  readonly backend: Backend;
  /** Memory that a step may take, in bytes. Default: until the backend has no more. */
  readonly limitBytes?: number | undefined;
  /** Images that a batch may have at most. Default 1024. */
  readonly most?: number;
  /** Objects in an image. Default 10. */
  readonly boxes?: number;
  /** Told of each batch that was tried; `bytes` is undefined where memory ended. */
  readonly onTry?: (batch: number, bytes: number | undefined) => void;
}

const OPTIONS: rule.OptionRules<LargestBatchOptions> = {
  ...{ config: rule.needed(rule.wholeConfig), backend: rule.needed(rule.someBackend), onTry: rule.callable },
  ...{ limitBytes: rule.whole(1), most: rule.whole(1), boxes: rule.whole(0) },
};

/** A batch that was tried, and the most memory that was held up to then, in bytes. */
export interface TriedBatch {
  readonly batch: number;
  readonly bytes: number;
}

/**
 * The largest batch of which whole training steps fit, with images of the largest size that training draws. Batches of 1, 2,
 * 4, … are tried, each a step; the last one is as large as the memory of those before lets expect, and is tried too.
 * @throws OutOfMemoryError where not even one image fits, ArgumentError for options
 */
export async function largestBatch(options: LargestBatchOptions): Promise<TriedBatch> {
  rule.checkOptions("largestBatch", options, OPTIONS);
  const { most = 1024, limitBytes: limit = Number.POSITIVE_INFINITY } = options;
  let before: TriedBatch = { batch: 0, bytes: options.backend.memory().bytes };
  let best = await tried(1, options);
  if (!best || best.bytes > limit)
    throw new OutOfMemoryError(
      "training: not even a batch of one image fits",
      "Choose a smaller preset or --size, or turn multi-scale off (augmentation.baseSizeRepeat=null).",
    );
  while (best.batch < most) {
    const perImage = Math.max(1, (best.bytes - before.bytes) / (best.batch - before.batch));
    const expected = Math.floor(best.batch + (limit - best.bytes) / perImage);
    const next: number = Math.min(2 * best.batch, most, expected);
    const found: TriedBatch | undefined = next > best.batch ? await tried(next, options) : undefined;
    if (!found || found.bytes > limit) break;
    [before, best] = [best, found];
  }
  return best;
}

/** A step with so many images; undefined where memory ended. */
async function tried(batch: number, options: LargestBatchOptions): Promise<TriedBatch | undefined> {
  const { config, backend, onTry } = options;
  try {
    using trainer = await Trainer.create({ config, backend });
    await trainer.step(noiseBatch(batch, options), 1);
    const { peakBytes } = backend.memory();
    onTry?.(batch, peakBytes);
    return { batch, bytes: peakBytes };
  } catch (error) {
    if (!(error instanceof OutOfMemoryError)) throw error;
    onTry?.(batch, undefined);
    return undefined;
  }
}

/** Images of noise, of the largest size that training draws, with boxes of a fifth of their sides. */
export function noiseBatch(
  count: number,
  { config, boxes = 10 }: Pick<LargestBatchOptions, "config" | "boxes">,
): TrainingBatch {
  const { model, train } = config;
  const [height, width] = largestSize(model.evalSize, train.augmentation.baseSizeRepeat);
  const random = new Random(0);
  const targets = () => ({
    labels: Int32Array.from({ length: boxes }, () => random.integer(model.classes.length)),
    boxes: Float32Array.from({ length: 4 * boxes }, (_, i) => (i % 4 < 2 ? 0.2 + 0.6 * random.uniform() : 0.2)),
  });
  return {
    images: Float32Array.from({ length: count * 3 * height * width }, () => random.uniform()),
    shape: [count, 3, height, width],
    resize: model.resize,
    targets: Array.from({ length: count }, targets),
    imageIds: Array.from({ length: count }, (_, i) => i),
    origSizes: Array.from({ length: count }, () => [width, height] as const),
    index: 0,
  };
}
