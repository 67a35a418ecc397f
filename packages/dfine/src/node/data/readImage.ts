import { type FetchOptions, fetchBytes } from "../../checkpoint/fetch.ts";
import { ImageError } from "../../data/errors.ts";
import type { RgbImage } from "../../data/image.ts";
import { webFetch } from "../webFetch.ts";
import { type DecodeOptions, decodeImage } from "./decode.ts";
import { pathOf } from "./onDisk.ts";

/** Largest image that is fetched, bytes. */
const MAX_BYTES = 100_000_000;

export const isWebAddress = (text: string): boolean => /^https?:/i.test(text);

/**
 * Decodes an image given by path, by web address, or as the bytes of a file.
 * @throws ImageError as `decodeImage`, and where the image cannot be fetched
 */
export async function readImage(
  image: string | Uint8Array,
  options: Pick<DecodeOptions, "maxPixels"> & FetchOptions = {},
): Promise<RgbImage> {
  const { maxPixels, maxBytes = MAX_BYTES, ...fetching } = options;
  if (typeof image !== "string") return await decodeImage(image, { maxPixels });
  if (!isWebAddress(image)) return await decodeImage(pathOf(image), { maxPixels });
  const refuse = (problem: string, remedy: string) =>
    new ImageError(image, problem, `${remedy.charAt(0).toUpperCase()}${remedy.slice(1)}.`);
  const bytes = await fetchBytes(image, { ...fetching, maxBytes, what: "an image", refuse, fetch: webFetch });
  return await decodeImage(bytes, { maxPixels, name: image });
}
