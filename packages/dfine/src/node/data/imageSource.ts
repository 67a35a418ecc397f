import pLimit from "p-limit";
import type { CocoImage } from "../../data/dataset.ts";
import type { RgbImage } from "../../data/image.ts";
import { resizeBilinear } from "../../data/resize.ts";
import { decodeImage } from "./decode.ts";
import { resolveInside } from "./paths.ts";

/** Images that are decoded at the same time: as many as libuv has threads, so that no more full-size images exist at once. */
const PARALLEL = 4;

/** Where images come from and how they are wanted. */
export interface ImageSourceOptions {
  /** Folder that the images' file names start from. */
  readonly imageRoot: string;
  /** Network input [height, width]; images are resized to it, their aspect ratio is not kept. */
  readonly size: readonly [number, number];
  /** Memory for resized images, kept for later epochs, in bytes. Default 512 MB. */
  readonly cacheBytes?: number;
  /** Largest image that is decoded, in pixels. */
  readonly maxPixels?: number | undefined;
}

/** Gives an image of the data set, decoded and resized. */
export type ImageSource = (image: CocoImage, signal?: AbortSignal) => Promise<RgbImage>;

/**
 * Makes a source that keeps what it has resized while the budget lasts. (What came first stays: every epoch reads all
 * images, so anything evicted would be missed before what replaced it is used again.)
 */
export function createImageSource(options: ImageSourceOptions): ImageSource {
  const { imageRoot, size, cacheBytes = 512 * 1024 * 1024, maxPixels } = options;
  const [height, width] = size;
  const kept = new Map<number, RgbImage>();
  const limit = pLimit(PARALLEL);
  const room = Math.floor(cacheBytes / (width * height * 3));

  return async (image, signal) => {
    const known = kept.get(image.id);
    if (known) return known;
    const resized = await limit(async () => {
      signal?.throwIfAborted();
      const decoded = await decodeImage(await resolveInside(imageRoot, image.fileName), { frame: image, maxPixels });
      return resizeBilinear(decoded, width, height);
    });
    if (kept.size < room) kept.set(image.id, resized);
    return resized;
  };
}
