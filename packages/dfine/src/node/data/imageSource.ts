import pLimit from "p-limit";
import type { CocoImage } from "../../data/dataset.ts";
import type { RgbImage } from "../../data/image.ts";
import { decodeImage } from "./decode.ts";
import { resolveInside } from "./paths.ts";

/** Images that are decoded at the same time: as many as libuv has threads, so that no more full-size images exist at once. */
const PARALLEL = 4;

/** Memory for decoded images where nothing is said, in bytes. */
export const USUAL_CACHE = 512 * 1024 * 1024;

/** Where images come from. */
export interface ImageSourceOptions {
  /** Folder that the images' file names start from. */
  readonly imageRoot: string;
  /** Memory for decoded images, kept for later epochs, in bytes. Default 512 MB. */
  readonly cacheBytes?: number;
  /** Largest image that is decoded, in pixels. */
  readonly maxPixels?: number | undefined;
}

/** Gives an image of the data set, decoded. */
export type ImageSource = (image: CocoImage, signal?: AbortSignal) => Promise<RgbImage>;

/**
 * Makes a source that keeps what it has decoded while the budget lasts. (What came first stays: every epoch reads all
 * images, so anything evicted would be missed before what replaced it is used again.)
 */
export function createImageSource(options: ImageSourceOptions): ImageSource {
  const { imageRoot, cacheBytes = USUAL_CACHE, maxPixels } = options;
  const kept = new Map<number, RgbImage>();
  const limit = pLimit(PARALLEL);
  let room = cacheBytes;

  return async (image, signal) => {
    const known = kept.get(image.id);
    if (known) return known;
    const decoded = await limit(async () => {
      signal?.throwIfAborted();
      return await decodeImage(await resolveInside(imageRoot, image.fileName), { frame: image, maxPixels });
    });
    if (decoded.data.length <= room && !kept.has(image.id)) {
      room -= decoded.data.length;
      kept.set(image.id, decoded);
    }
    return decoded;
  };
}
