import { ImageError } from "./errors.ts";
import { type RgbImage, rgbImage } from "./image.ts";

/**
 * What a page can show: a chosen file or a fetched one (`Blob`), or something that is drawn already: an `ImageBitmap`,
 * `ImageData`, a canvas, an `<img>` or `<video>` element.
 */
export type PageImage = Blob | { readonly width: number; readonly height: number };

/**
 * Reads 8-bit RGB pixels where there is a canvas: in pages and their workers. EXIF orientation is applied, colour profiles
 * are not; transparent parts become black. In Node, `decodeImage` of `dfine/node` reads files.
 * @throws ImageError when it is no image, or when there is no canvas
 */
export async function toRgbImage(source: PageImage): Promise<RgbImage> {
  const name = typeof File !== "undefined" && source instanceof File ? source.name : "image";
  if (typeof OffscreenCanvas === "undefined")
    throw new ImageError(
      name,
      "cannot be read where there is no OffscreenCanvas",
      "In Node use decodeImage of dfine/node.",
    );
  const bitmap = await createImageBitmap(source as ImageBitmapSource, {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  }).catch((error: Error) => {
    throw new ImageError(
      name,
      `is not an image that can be read (${error.message})`,
      "Use JPEG, PNG, WebP, GIF or AVIF.",
    );
  });
  try {
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext("2d", { alpha: false, willReadFrequently: true });
    if (!context) throw new ImageError(name, "cannot be drawn: the browser gives no canvas", "Close other pages.");
    context.drawImage(bitmap, 0, 0);
    return rgbImage(width, height, withoutAlpha(context.getImageData(0, 0, width, height).data));
  } finally {
    bitmap.close();
  }
}

/** [n, 4] to [n, 3]. */
function withoutAlpha(rgba: Uint8ClampedArray): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from]!;
    rgb[to + 1] = rgba[from + 1]!;
    rgb[to + 2] = rgba[from + 2]!;
  }
  return rgb;
}
