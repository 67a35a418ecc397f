import { checkOptions, type OptionRules, text, thing, whole } from "@dfine/tensor";
import type { Metadata } from "sharp";
import { cmykToRgb } from "../../data/cmyk.ts";
import { ImageError } from "../../data/errors.ts";
import { type RgbImage, rgbImage } from "../../data/image.ts";
import { isDecodedKind, undecodableKind } from "../../data/imageKinds.ts";
import { loadSharp } from "../optional.ts";
import { readWhole } from "./onDisk.ts";

/** Formats that are decoded; others that the library knows are drawings and documents. */
const FORMATS: ReadonlySet<string> = new Set(["jpeg", "png", "webp", "gif", "tiff", "avif", "heif", "jp2", "jxl"]);

/** Options of `decodeImage`. */
export interface DecodeOptions {
  /** Largest width * height that is decoded; checked in the header, before memory is taken. Default 100 million. */
  readonly maxPixels?: number | undefined;
  /** The size on which the image was annotated, in pixels. */
  readonly frame?: { readonly width: number; readonly height: number };
  /** What bytes are called in messages. */
  readonly name?: string;
}

const OPTIONS: OptionRules<DecodeOptions> = { maxPixels: whole(1), frame: thing, name: text };

/**
 * Decodes an image file (or its bytes) to 8-bit RGB as Pillow's `convert("RGB")` does: grey is replicated, alpha
 * dropped, 16 bits cut to 8, inks (CMYK) mixed by its plain rule, only the first frame of an animation taken, colour
 * profiles ignored. Unlike Pillow it turns the image as its EXIF orientation says, since that is how people (and
 * labelling tools) saw it; when `frame` fits the unturned image only, the annotations were made without turning, and it
 * stays as stored.
 * @throws ImageError when the file is missing, no image, damaged, too large, or of another size than `frame`; ArgumentError for options
 */
export async function decodeImage(source: string | Uint8Array, options: DecodeOptions = {}): Promise<RgbImage> {
  checkOptions("decodeImage", options, OPTIONS);
  const { maxPixels = 100_000_000, frame, name = "image in memory" } = options;
  const path = typeof source === "string" ? source : name;
  const refuse = (problem: string, remedy: string) => new ImageError(path, problem, remedy);
  const bytes = typeof source === "string" ? await readWhole(source, refuse) : source;
  const sharp = await loadSharp();
  const settings = { failOn: "truncated", ignoreIcc: true, limitInputPixels: maxPixels } as const;
  const metadata = await readHeader(path, bytes);
  if (metadata.width * metadata.height > maxPixels)
    throw new ImageError(
      path,
      `has ${metadata.width}x${metadata.height} pixels, over the limit of ${maxPixels}`,
      "Scale the image down first, or raise maxPixels (on the command line --max-pixels).",
    );
  const decoder = sharp(bytes, { ...settings, autoOrient: shouldTurn(path, metadata, frame) });
  const inks = metadata.space === "cmyk" && metadata.depth === "uchar";
  // Without naming the space of the pipeline too, inks would pass through a colour profile of the library's and back.
  const colour = inks ? decoder.pipelineColourspace("cmyk").toColourspace("cmyk") : decoder.toColourspace("srgb");
  try {
    const { data, info } = await colour.removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const pixels = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return rgbImage(info.width, info.height, inks ? cmykToRgb(pixels) : pixels);
  } catch (error) {
    throw unreadable(path, bytes, `cannot be decoded (${reason(error)})`);
  }
}

/** What the header of an image says. @throws ImageError where it is none that is decoded */
export async function readHeader(path: string, bytes: Uint8Array): Promise<Metadata> {
  const sharp = await loadSharp();
  let metadata: Metadata;
  try {
    metadata = await sharp(bytes, { ignoreIcc: true, limitInputPixels: false }).metadata();
  } catch (error) {
    throw unreadable(path, bytes, `is not an image that can be read (${reason(error)})`);
  }
  const { format } = metadata;
  // Raw images of cameras pass for TIFF, with the small preview that they begin with.
  if (FORMATS.has(format) && !(format === "tiff" && undecodableKind(path, bytes))) return metadata;
  throw unreadable(path, bytes, `is ${format}, not a pixel image`);
}

/** A coding that the library was built without, or that nobody decodes; the file may be whole. */
export const UNSUPPORTED = /not been built in|not supported|unsupported (?!image format)|not (configured|implemented)/i;

/** Why an image could not be read, and what to do: by its kind, by its coding, or because it is damaged. */
function unreadable(path: string, bytes: Uint8Array, problem: string): ImageError {
  const kind = undecodableKind(path, bytes);
  if (kind) return new ImageError(path, `is ${kind.is}; it cannot be decoded here`, kind.remedy);
  if (UNSUPPORTED.test(problem))
    return new ImageError(path, problem, "Its coding is not supported: save it again as an ordinary JPEG or PNG.");
  if (isDecodedKind(bytes)) return new ImageError(path, problem, "The file is damaged or cut short: replace it.");
  return new ImageError(path, problem, "Use JPEG, PNG, WebP, GIF, TIFF or AVIF.");
}

/** Whether to apply the EXIF orientation. Orientations from 5 on exchange width and height. */
function shouldTurn(path: string, metadata: Metadata, frame: DecodeOptions["frame"]): boolean {
  if (!frame) return true;
  const { width, height, orientation = 1 } = metadata;
  const turned = orientation >= 5 ? { width: height, height: width } : { width, height };
  if (frame.width === turned.width && frame.height === turned.height) return true;
  if (frame.width === width && frame.height === height) return false;
  throw new ImageError(
    path,
    `is ${turned.width}x${turned.height}, but its annotations are for ${frame.width}x${frame.height}`,
    "Boxes would be misplaced: correct width and height in the annotations, or use the images they were made on.",
  );
}

/** The first line of an error's message that tells something. */
export function reason(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error)).split("\n");
  return (lines.find((line) => !line.includes("bad seek")) ?? lines[0]!).replace(/:$/, "");
}
